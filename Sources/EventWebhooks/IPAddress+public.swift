import Addresses

extension IPAddress {
  /// Whether the address belongs to the public internet.
  ///
  /// A server must not send events to other addresses, because an endpoint's URL comes from outside. Some services trust
  /// every client in the server's network, such as the metadata service of a cloud (169.254.169.254).
  ///
  /// The ranges are those of IANA's registries of special-purpose addresses (RFC 6890) that are not globally reachable.
  var isPublic: Bool {
    if isV4 { return !Self.specialV4.contains { $0.contains(self) } }
    // A gateway translates these to the IPv4 address that they contain.
    if Self.nat64.contains(self) { return Self.v4(low).isPublic }
    if Self.sixToFour.contains(self) { return Self.v4(high >> 16).isPublic }
    return Self.globalUnicast.contains(self) && !Self.specialV6.contains { $0.contains(self) }
  }

  /// The IPv4 address in the lower 32 bits of a word.
  private static func v4(_ word: UInt64) -> IPAddress {
    IPAddress(high: 0, low: 0xFFFF << 32 | word & 0xFFFF_FFFF)
  }

  private static func ranges(_ texts: String...) -> [IPRange] { texts.map { IPRange($0)! } }

  private static let specialV4 = ranges(
    "0.0.0.0/8",  // this network, and the unspecified address
    "10.0.0.0/8",  // private
    "100.64.0.0/10",  // shared by the customers of a provider (carrier-grade NAT)
    "127.0.0.0/8",  // loopback
    "169.254.0.0/16",  // link-local
    "172.16.0.0/12",  // private
    "192.0.0.0/24",  // protocol assignments
    "192.0.2.0/24",  // documentation
    "192.88.99.0/24",  // 6to4 relays, deprecated
    "192.168.0.0/16",  // private
    "198.18.0.0/15",  // benchmarks
    "198.51.100.0/24",  // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",  // multicast
    "240.0.0.0/4"  // reserved, and broadcast
  )

  /// Everything else is loopback, unspecified, IPv4-compatible, unique local, link-local, site-local, multicast or not
  /// assigned. IPv4-mapped addresses are IPv4 addresses here.
  private static let globalUnicast = IPRange("2000::/3")!

  private static let specialV6 = ranges(
    "2001::/23",  // protocol assignments, among them Teredo
    "2001:db8::/32",  // documentation
    "3fff::/20"  // documentation
  )

  /// RFC 6052. The range for local use, 64:ff9b:1::/48, is not public.
  private static let nat64 = IPRange("64:ff9b::/96")!

  /// RFC 3056: the IPv4 address follows the first 16 bits.
  private static let sixToFour = IPRange("2002::/16")!
}
