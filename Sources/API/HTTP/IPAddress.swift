import Glibc

/// An address of IPv6, or of IPv4 in the form that IPv6 has for it (RFC 4291, section 2.5.5.2).
struct IPAddress: Hashable, Sendable {
  let high: UInt64
  let low: UInt64

  private init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter text: without brackets, zone and port. Nil when it is no address.
  init?(_ text: some StringProtocol) {
    let text = String(text)
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(high: 0, low: Self.v4Prefix | UInt64(UInt32(bigEndian: v4.s_addr)))
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      self = withUnsafeBytes(of: v6) { bytes in
        IPAddress(
          high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
          low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
      }
    } else {
      return nil
    }
  }

  private static let v4Prefix: UInt64 = 0xFFFF << 32

  /// As text, such as `192.0.2.1` or `2001:db8::1` (RFC 5952).
  var text: String {
    var v4 = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
    var v6 = in6_addr()
    withUnsafeMutableBytes(of: &v6) { bytes in
      bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
      bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    return String(unsafeUninitializedCapacity: Int(INET6_ADDRSTRLEN)) { buffer in
      buffer.withMemoryRebound(to: CChar.self) { text in
        let address =
          isV4
          ? inet_ntop(AF_INET, &v4, text.baseAddress!, socklen_t(text.count))
          : inet_ntop(AF_INET6, &v6, text.baseAddress!, socklen_t(text.count))
        return address.map { strlen($0) } ?? 0
      }
    }
  }

  var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }

  var isLoopback: Bool { isV4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }

  /// What one client has: an address of IPv4, or a network of 64 bits of IPv6, which is given to each customer.
  var client: IPAddress { isV4 ? self : IPAddress(high: high, low: 0) }
}

/// Addresses that begin with the same bits, such as `10.0.0.0/8`, `fd00::/8` or `192.0.2.1` (RFC 4632, section 3.1).
struct IPRange: Sendable {
  private let base: IPAddress
  /// Of the 128.
  private let bits: Int

  /// Nil when it is none.
  init?(_ text: some StringProtocol) {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
    guard let base = IPAddress(String(decoding: parts[0], as: UTF8.self)) else { return nil }
    let length = base.isV4 ? 32 : 128
    var bits = length
    if parts.count == 2 {
      guard 1...3 ~= parts[1].count, parts[1].allSatisfy(\.isDigit),
        let given = Int(String(decoding: parts[1], as: UTF8.self)), given <= length
      else { return nil }
      bits = given
    }
    self.base = base
    self.bits = bits + 128 - length
  }

  func contains(_ address: IPAddress) -> Bool {
    func differ(_ one: UInt64, _ other: UInt64, in bits: Int) -> Bool {
      bits > 0 && (one ^ other) >> UInt64(64 - min(64, bits)) != 0
    }
    return !differ(base.high, address.high, in: bits) && !differ(base.low, address.low, in: bits - 64)
  }
}
