import Addresses

/// The value of a `Host` field: a host and an optional port (RFC 9112, section 3.2; RFC 3986, sections 3.2.2 and
/// 3.2.3).
struct Authority {
  private let host: Substring.UTF8View

  /// Nil if the value is not valid. An empty value is valid: the request's URI then has no authority.
  init?(_ value: Substring.UTF8View) {
    let isLiteral = value.first == UInt8(ascii: "[")
    let end =
      if isLiteral {
        value.firstIndex(of: UInt8(ascii: "]")).map(value.index(after:)) ?? value.endIndex
      } else {
        value.firstIndex(of: UInt8(ascii: ":")) ?? value.endIndex
      }
    host = value[..<end]
    guard isLiteral ? isIPv6Literal : isName, Self.isPort(value[end...]), !host.isEmpty || value.isEmpty else {
      return nil
    }
  }

  /// Whether the host is `localhost`, an IPv4 address that begins with 127, or `[::1]`.
  var isLoopback: Bool {
    if host.isWord("localhost") { return true }
    return host.first == UInt8(ascii: "[") ? literal?.isLoopback == true : IPAddress(text(host))?.isLoopback == true
  }

  private var isIPv6Literal: Bool { literal != nil && host.contains(UInt8(ascii: ":")) }

  /// The address in brackets. Nil if the text in brackets is no address.
  private var literal: IPAddress? {
    host.last == UInt8(ascii: "]") ? IPAddress(text(host.dropFirst().dropLast())) : nil
  }

  private func text(_ bytes: Substring.UTF8View) -> String { String(decoding: bytes, as: UTF8.self) }

  /// Whether the host has the syntax of a registered name. IPv4 addresses have it, too.
  private var isName: Bool {
    var hexadecimalDigits = 0
    for byte in host {
      if hexadecimalDigits > 0 {
        guard byte.hexadecimalValue != nil else { return false }
        hexadecimalDigits -= 1
      } else if byte == UInt8(ascii: "%") {
        hexadecimalDigits = 2
      } else if !byte.isUnreserved && !Self.isSubDelimiter(byte) {
        return false
      }
    }
    return hexadecimalDigits == 0
  }

  private static func isSubDelimiter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&")...UInt8(ascii: ","), UInt8(ascii: ";"),
      UInt8(ascii: "="):
      true
    default: false
    }
  }

  /// Whether the bytes are empty, a colon, or a colon and a number of at most 16 bits.
  private static func isPort(_ bytes: Substring.UTF8View) -> Bool {
    guard let first = bytes.first else { return true }
    guard first == UInt8(ascii: ":") else { return false }
    var port = 0
    for byte in bytes.dropFirst() {
      guard byte.isDigit else { return false }
      port = port * 10 + Int(byte - UInt8(ascii: "0"))
      if port > 65_535 { return false }
    }
    return true
  }
}
