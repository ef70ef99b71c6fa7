import Addresses

/// The URL of an endpoint, taken apart.
///
/// The text is parsed strictly here, and the HTTP client gets a URL that is put together again from checked parts. If
/// both parsed the operator's text, they could find different hosts in it. The server would check the one, and connect to
/// the other.
struct EndpointAddress: Hashable, Sendable {
  /// In bytes.
  static let maximumLength = 2048

  let isTLS: Bool
  /// A name in lower case, or an IP address without brackets.
  let host: String
  let port: Int
  /// The path and the query. It begins with `/`.
  let target: String

  /// The address, if the host is one.
  var literal: IPAddress? { IPAddress(host) }

  /// - Parameter allowsHTTP: accept `http` beside `https`.
  init(_ text: String, allowsHTTP: Bool) throws(EndpointRefusal) {
    guard text.utf8.count <= Self.maximumLength, text.utf8.allSatisfy(Self.isAllowed) else { throw .syntax }
    let bytes = Substring(text)
    guard let colon = bytes.firstIndex(of: ":"), bytes[colon...].hasPrefix("://") else {
      throw allowsHTTP ? .notHTTP : .notHTTPS
    }
    let defaultPort: Int
    switch bytes[..<colon].lowercased() {
    case "https": (isTLS, defaultPort) = (true, 443)
    case "http" where allowsHTTP: (isTLS, defaultPort) = (false, 80)
    default: throw allowsHTTP ? .notHTTP : .notHTTPS
    }
    guard !bytes.contains("#") else { throw .fragment }
    let rest = bytes[colon...].dropFirst("://".count)
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    let authority = rest[..<end]
    guard !authority.contains("@") else { throw .userInfo }
    let hostEnd: Substring.Index
    (host, hostEnd) = try Self.host(authority)
    port = try Self.port(authority[hostEnd...]) ?? defaultPort
    let path = rest[end...]
    guard Self.isTarget(path) else { throw .syntax }
    target = path.first == "/" ? String(path) : "/" + path
  }

  /// The URL for the HTTP client.
  var url: String {
    let authority = host.contains(":") ? "[\(host)]" : host
    return "\(isTLS ? "https" : "http")://\(authority):\(port)\(target)"
  }

  /// Visible ASCII without the characters that no URL contains (RFC 3986, section 2).
  private static func isAllowed(_ byte: UInt8) -> Bool {
    0x21...0x7e ~= byte && !"\"<>\\^`{|}".utf8.contains(byte)
  }

  /// - Returns: the host, and where it ends in the authority.
  private static func host(_ authority: Substring) throws(EndpointRefusal) -> (String, Substring.Index) {
    if authority.first == "[" {
      guard let end = authority.firstIndex(of: "]"), case let text = authority[..<end].dropFirst(), text.contains(":"),
        let address = IPAddress(text)
      else { throw .host }
      return (address.text, authority.index(after: end))
    }
    let end = authority.firstIndex(of: ":") ?? authority.endIndex
    let name = authority[..<end].lowercased()
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    // The longest name and label of the DNS (RFC 1035, section 2.3.4).
    guard name.utf8.count <= 253, labels.allSatisfy({ 1...63 ~= $0.utf8.count && $0.utf8.allSatisfy(isNameByte) })
    else { throw .host }
    return (name, end)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// - Parameter text: `:` and a port, or empty.
  private static func port(_ text: Substring) throws(EndpointRefusal) -> Int? {
    if text.isEmpty { return nil }
    let digits = text.dropFirst()
    guard text.first == ":", 1...5 ~= digits.utf8.count,
      digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
      let port = Int(digits), 1...65535 ~= port
    else { throw .port }
    return port
  }

  /// Whether each `%` begins an escape, and no bracket follows the authority.
  private static func isTarget(_ path: Substring) -> Bool {
    if path.contains("[") || path.contains("]") { return false }
    let parts = path.split(separator: "%", omittingEmptySubsequences: false)
    return parts.dropFirst().allSatisfy { part in
      let digits = part.prefix(2)
      return digits.count == 2 && digits.allSatisfy(\.isHexDigit)
    }
  }
}
