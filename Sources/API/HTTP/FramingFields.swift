import NIOHTTP1

/// The header fields that decide where a request ends and whether its body is read, found in one pass.
struct FramingFields {
  /// What a request that asks for another protocol does to NIO's decoder. The decoder stops behind a request with an
  /// `Upgrade` field when a `Connection` field names `upgrade`.
  enum Upgrade {
    /// The request does not ask, or not so that the decoder stops.
    case none
    /// The decoder stops behind the request.
    case stopsDecoder
    /// The fields are written so that only the decoder knows.
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

  /// - Parameter validHost: a valid value of `Host`, such as that of the connection's request before, or an empty one.
  ///   Becomes that of this request when it is valid.
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

  /// Whether the length of the body is told in the one way that is known beside `Content-Length`: `chunked`, once
  /// (RFC 9112, section 6.1).
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

  /// Whether a `Connection` field names `upgrade`. Nil when the word is in it and the field is more than names between commas
  /// and single spaces, in which every reader finds the same.
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
