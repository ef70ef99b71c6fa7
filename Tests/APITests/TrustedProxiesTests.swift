import Addresses
import Testing

@testable import API

@Suite struct TrustedProxiesTests {
  private static let proxies = TrustedProxies("10.0.0.0/8, 192.0.2.7 ,fd00::/8")!

  private func client(_ connection: String, _ forwarded: String...) -> IPAddress? {
    Self.proxies.client(connection: IPAddress(connection), forwarded: forwarded)
  }

  @Test func `without a trusted proxy the client is the connection's address`() {
    #expect(client("198.51.100.1") == IPAddress("198.51.100.1"))
    #expect(client("198.51.100.1", "203.0.113.9") == IPAddress("198.51.100.1"))
    #expect(
      TrustedProxies().client(connection: IPAddress("10.0.0.1"), forwarded: ["203.0.113.9"]) == IPAddress("10.0.0.1"))
    #expect(TrustedProxies().client(connection: nil, forwarded: ["203.0.113.9"]) == nil)
  }

  @Test func `only a trusted proxy can say that the client used TLS`() {
    func isSecure(_ connection: String, _ value: String?) -> Bool {
      Self.proxies.isSecure(connection: IPAddress(connection), forwardedProtocol: value)
    }
    #expect(isSecure("10.1.2.3", "https") && isSecure("192.0.2.7", "HTTPS"))
    for value in ["http", "", "https,http", "https://", nil] { #expect(!isSecure("10.1.2.3", value)) }
    #expect(!isSecure("198.51.100.1", "https"))
    #expect(!TrustedProxies().isSecure(connection: IPAddress("10.1.2.3"), forwardedProtocol: "https"))
    #expect(!Self.proxies.isSecure(connection: nil, forwardedProtocol: "https"))
  }

  @Test func `behind a trusted proxy the client is the forwarded address`() {
    for entry in ["203.0.113.9", " 203.0.113.9\t", "203.0.113.9:4711", "::ffff:203.0.113.9", "[::ffff:203.0.113.9]:1"] {
      #expect(client("10.1.2.3", entry) == IPAddress("203.0.113.9"), "\(entry)")
    }
    #expect(client("fd00::1", "2001:db8::5") == IPAddress("2001:db8::5"))
    #expect(client("192.0.2.7", "[2001:db8::5]:80") == IPAddress("2001:db8::5"))
    #expect(client("::ffff:10.1.2.3", "203.0.113.9") == IPAddress("203.0.113.9"))
  }

  /// The client can forge the entries before that address.
  @Test func `the last address that is not a trusted proxy is the client`() {
    #expect(client("10.0.0.1", "1.1.1.1, 203.0.113.9") == IPAddress("203.0.113.9"))
    #expect(client("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2") == IPAddress("203.0.113.9"))
    #expect(client("10.0.0.1", "1.1.1.1", "203.0.113.9", "10.0.0.2") == IPAddress("203.0.113.9"))
    #expect(client("10.0.0.1", "10.0.0.3, 10.0.0.2") == IPAddress("10.0.0.3"))
  }

  @Test(arguments: ["", "unknown", "_hidden", "203.0.113", "203.0.113.9,", "1.1.1.1, x", "[::1"])
  func `an entry that is not an address ends the search`(value: String) {
    #expect(client("10.0.0.1", value) == IPAddress("10.0.0.1"))
  }

  @Test(arguments: [
    "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8", "::/129", "10.0.0.0/08x", "10.0.0.1,", ",", "10.0.0.0/8 x",
    "localhost", "10.0.0.0//8", "10.0.0.0/+8",
  ])
  func `a list with an invalid network is refused`(list: String) {
    #expect(TrustedProxies(list) == nil)
  }

  @Test func `a network contains exactly the addresses with its prefix`() throws {
    for (network, inside, outside) in [
      ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"), ("192.0.2.4/30", "192.0.2.7", "192.0.2.8"),
      ("192.0.2.1", "192.0.2.1", "192.0.2.0"), ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
      ("2001:db8::/96", "2001:db8::ffff:ffff", "2001:db8::1:0:0"), ("2001:db8::1", "2001:db8::1", "2001:db8::"),
      ("0.0.0.0/0", "255.1.1.1", "2001:db8::1"), ("10.9.8.7/8", "10.0.0.1", "9.0.0.1"),
    ] {
      let range = try #require(IPRange(network))
      #expect(range.contains(try #require(IPAddress(inside))), "\(network)")
      #expect(!range.contains(try #require(IPAddress(outside))), "\(network)")
    }
    #expect(try #require(IPRange("::/0")).contains(try #require(IPAddress("192.0.2.1"))))
  }
}
