import Addresses
import Testing

@testable import EventWebhooks

@Suite struct PublicAddressTests {
  /// The first and the last address of each range, and their neighbours outside of it.
  @Test(
    arguments: [
      ("0.0.0.0", "0.255.255.255", nil, "1.0.0.0"),
      ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
      ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"),
      ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"),
      ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"),
      ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
      ("192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"),
      ("192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"),
      ("192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"),
      ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"),
      ("198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"),
      ("198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"),
      ("203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"),
      ("224.0.0.0", "255.255.255.255", "223.255.255.255", nil),
    ] as [(String, String, String?, String?)])
  func `an IPv4 range is not public, and its neighbours are`(
    first: String, last: String, before: String?, after: String?
  ) throws {
    for text in [first, last] {
      #expect(!Self.isPublic(text), "\(text)")
      #expect(!Self.isPublic("::ffff:\(text)"), "IPv4-mapped \(text)")
      #expect(!Self.isPublic("64:ff9b::\(text)"), "\(text) behind NAT64")
      #expect(!Self.isPublic(Self.sixToFour(text)), "6to4 of \(text)")
    }
    for text in [before, after].compactMap({ $0 }) {
      #expect(Self.isPublic(text), "\(text)")
      #expect(Self.isPublic("::ffff:\(text)"), "IPv4-mapped \(text)")
      #expect(Self.isPublic("64:ff9b::\(text)"), "\(text) behind NAT64")
      #expect(Self.isPublic(Self.sixToFour(text)), "6to4 of \(text)")
    }
  }

  @Test(arguments: [
    "::", "::1", "::7f00:1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::1", "100::1",
    "1fff:ffff::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1ff:ffff::1", "2001:db8::1",
    "2001:db8:ffff:ffff::1", "3fff::1", "3fff:fff:ffff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fec0::1", "feff::1", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
  ])
  func `an IPv6 address for a special purpose is not public`(text: String) {
    #expect(!Self.isPublic(text))
  }

  @Test(arguments: [
    "2000::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "2606:4700::1111", "3ffe:ffff::1", "3fff:1000::1",
  ])
  func `an IPv6 address of the internet is public`(text: String) {
    #expect(Self.isPublic(text))
  }

  private static func isPublic(_ text: String) -> Bool {
    guard let address = IPAddress(text) else {
      Issue.record("\(text) is no address")
      return false
    }
    return address.isPublic
  }

  /// The 6to4 address of an IPv4 address (RFC 3056).
  private static func sixToFour(_ text: String) -> String {
    let bytes = text.split(separator: ".").map { Int($0)! }
    let groups = [bytes[0] << 8 | bytes[1], bytes[2] << 8 | bytes[3]].map { String($0, radix: 16) }
    return "2002:\(groups[0]):\(groups[1])::1"
  }
}
