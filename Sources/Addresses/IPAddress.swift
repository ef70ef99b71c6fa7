import Glibc
import NIOCore

/// An IPv6 address, or an IPv4 address as an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2).
package struct IPAddress: Hashable, Sendable {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter text: an address without brackets, zone and port. Nil if it is none.
  package init?(_ text: some StringProtocol) {
    let text = String(text)
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4)
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      self.init(v6)
    } else {
      return nil
    }
  }

  /// - Parameter address: the address of a socket. Nil if it is no IP address.
  package init?(_ address: SocketAddress) {
    switch address {
    case .v4(let address): self.init(address.address.sin_addr)
    case .v6(let address): self.init(address.address.sin6_addr)
    case .unixDomainSocket: return nil
    }
  }

  package init(_ v4: in_addr) {
    self.init(high: 0, low: Self.v4Prefix | UInt64(UInt32(bigEndian: v4.s_addr)))
  }

  package init(_ v6: in6_addr) {
    self = withUnsafeBytes(of: v6) { bytes in
      IPAddress(
        high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }

  private static let v4Prefix: UInt64 = 0xFFFF << 32

  /// As text, such as `192.0.2.1` or `2001:db8::1` (RFC 5952).
  package var text: String {
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

  package var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }

  package var isLoopback: Bool { isV4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }

  /// The IPv4 address, or the first 64 bits of the IPv6 address. Providers assign at least a /64 network to a customer.
  package var client: IPAddress { isV4 ? self : IPAddress(high: high, low: 0) }
}

/// Addresses that begin with the same bits, such as `10.0.0.0/8`, `fd00::/8` or `192.0.2.1` (RFC 4632, section 3.1).
package struct IPRange: Sendable {
  private let base: IPAddress
  /// The number of equal bits, 0 to 128.
  private let bits: Int

  /// - Parameter text: an address, or an address and a prefix length. Nil if it is neither.
  package init?(_ text: some StringProtocol) {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
    guard let base = IPAddress(String(decoding: parts[0], as: UTF8.self)) else { return nil }
    let length = base.isV4 ? 32 : 128
    var bits = length
    if parts.count == 2 {
      guard 1...3 ~= parts[1].count, parts[1].allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
        let given = Int(String(decoding: parts[1], as: UTF8.self)), given <= length
      else { return nil }
      bits = given
    }
    self.base = base
    self.bits = bits + 128 - length
  }

  package func contains(_ address: IPAddress) -> Bool {
    func differ(_ one: UInt64, _ other: UInt64, in bits: Int) -> Bool {
      bits > 0 && (one ^ other) >> UInt64(64 - min(64, bits)) != 0
    }
    return !differ(base.high, address.high, in: bits) && !differ(base.low, address.low, in: bits - 64)
  }
}
