import NIOHTTP1

/// The header fields that determine where a request ends and whether its body is read. One pass finds them all.
struct FramingFields {
  /// Whether NIO's decoder stops after the request.
  ///
  /// It stops after a request with an `Upgrade` field and a `Connection` field that names `upgrade`.
  enum Upgrade {
    /// The decoder continues after the request.
    case none
    /// The decoder stops after the request.
    case stopsDecoder
    /// The decoder may stop: it may read the `Connection` field in another way than this type.
    case unclear
  }

  private(set) var hostCount = 0
  private(set) var hasInvalidHost = false
  private(set) var contentLength: Int?
  private(set) var transferEncodingCount = 0
  private(set) var isChunked = false
  private(set) var hasExpectation = false
  private(set) var upgrade = Upgrade.none
  private(set) var bodyLabel = BodyLabel.json

  /// - Parameter validHost: a valid value of `Host`, such as that of the connection's previous request, or an empty
  ///   text. Becomes the value of this request if that is valid.
  init(_ headers: HTTPHeaders, validHost: inout String) {
    var label = BodyLabel.Reader()
    var host: String?
    var asksForUpgrade = false
    for (name, value) in headers {
      let bytes = name.utf8
      switch bytes.count {
      case 4 where bytes.isWord("host"):
        hostCount += 1
        host = value
        if !value.isVerbatim(validHost) {
          if Authority(value[...].utf8.trimmed) == nil { hasInvalidHost = true } else { validHost = value }
        }
      case 6 where bytes.isWord("expect"): hasExpectation = true
      case 6 where bytes.isWord("origin"): label.readOrigin(value)
      case 7 where bytes.isWord("upgrade"): asksForUpgrade = true
      case 12 where bytes.isWord("content-type"): label.readContentType(value)
      case 14 where bytes.isWord("content-length"): contentLength = Int(value)
      case 14 where bytes.isWord("sec-fetch-site"): label.readSite(value)
      case 16 where bytes.isWord("content-encoding"): label.readContentEncoding(value)
      case 17 where bytes.isWord("transfer-encoding"):
        transferEncodingCount += 1
        isChunked = value[...].utf8.trimmed.isWord("chunked")
      default: break
      }
    }
    bodyLabel = label.label(host: host)
    if asksForUpgrade { upgrade = Self.upgrade(headers) }
  }

  /// Whether the request has no `Transfer-Encoding`, or one with the only supported value, `chunked` (RFC 9112, section
  /// 6.1).
  var hasKnownTransferEncoding: Bool { transferEncodingCount == 0 || transferEncodingCount == 1 && isChunked }

  private static func upgrade(_ headers: HTTPHeaders) -> Upgrade {
    var upgrade = Upgrade.none
    for (name, value) in headers where name.utf8.isWord("connection") {
      switch namesUpgrade(value) {
      case true?: return .stopsDecoder
      case nil: upgrade = .unclear
      case false?: break
      }
    }
    return upgrade
  }

  /// Whether a `Connection` field names `upgrade`. Nil if that is unclear.
  ///
  /// It is clear if the value does not contain the word. It is also clear if the value is a plain list: names with a
  /// comma and at most one space between them. All parsers agree on such a list.
  private static func namesUpgrade(_ value: String) -> Bool? {
    let word: StaticString = "upgrade"
    let value = value[...].utf8.trimmed
    guard value.indices.contains(where: { value[$0...].prefix(word.utf8CodeUnitCount).isWord(word) }) else {
      return false
    }
    let names = value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
      .map { $0.first == UInt8(ascii: " ") ? $0.dropFirst() : $0 }
    guard names.allSatisfy({ name in !name.isEmpty && name.allSatisfy(\.isUnreserved) }) else { return nil }
    return names.contains { $0.isWord(word) }
  }
}
