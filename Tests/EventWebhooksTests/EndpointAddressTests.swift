import Addresses
import Testing

@testable import EventWebhooks

@Suite struct EndpointAddressTests {
  @Test(arguments: [
    ("https://shop.example/hooks", "https://shop.example:443/hooks"),
    ("HTTPS://Shop.Example", "https://shop.example:443/"),
    ("https://shop.example:8443?a=b/c", "https://shop.example:8443/?a=b/c"),
    ("https://shop.example/a%2Fb?x=%20&y=:@", "https://shop.example:443/a%2Fb?x=%20&y=:@"),
    ("https://192.0.2.7/", "https://192.0.2.7:443/"), ("https://[2001:DB8::7]:1/", "https://[2001:db8::7]:1/"),
    ("https://[::ffff:192.0.2.7]/", "https://192.0.2.7:443/"), ("https://a_b.example/", "https://a_b.example:443/"),
  ])
  func `a valid URL is put together again from its parts`(text: String, url: String) throws {
    #expect(try EndpointAddress(text, allowsHTTP: false).url == url)
  }

  @Test(
    arguments: [
      ("http://shop.example/", .notHTTPS), ("ftp://shop.example/", .notHTTPS), ("shop.example", .notHTTPS),
      ("", .notHTTPS),
      ("https:shop.example", .notHTTPS), ("https:/shop.example", .notHTTPS), ("//shop.example/", .notHTTPS),
      ("https://user@shop.example/", .userInfo), ("https://user:password@shop.example/", .userInfo),
      ("https://shop.example@10.0.0.1/", .userInfo), ("https://shop.example/#top", .fragment),
      ("https://shop.example#@10.0.0.1/", .fragment), ("https:///hooks", .host), ("https://", .host),
      ("https://shop..example/", .host), ("https://shop.example./", .host), ("https://.example/", .host),
      ("https://[::1/", .host), ("https://[shop.example]/", .host), ("https://[10.0.0.1]/", .host),
      ("https://[fe80::1%25eth0]/", .host), ("https://sh%6fp.example/", .host), ("https://shop,example/", .host),
      ("https://shop.example:/", .port), ("https://shop.example:0/", .port), ("https://shop.example:65536/", .port),
      ("https://shop.example:+443/", .port), ("https://shop.example:443:443/", .port), ("https://[::1]443/", .port),
      ("https://shöp.example/", .syntax), ("https://shop.example/a b", .syntax),
      ("https://shop.example\\@10.0.0.1/", .syntax),
      ("https://shop.example/\n", .syntax), ("https://shop.example/%", .syntax), ("https://shop.example/%2", .syntax),
      ("https://shop.example/%zz", .syntax), ("https://shop.example/[x]", .syntax),
      ("https://shop.example/<x>", .syntax),
    ] as [(String, EndpointRefusal)])
  func `any other text is refused, with the reason`(text: String, refusal: EndpointRefusal) {
    #expect(throws: refusal) { try EndpointAddress(text, allowsHTTP: false) }
  }

  @Test func `a URL has at most 2048 bytes, a label 63 and a name 253`() throws {
    let start = "https://shop.example/"
    let label = String(repeating: "a", count: 63)
    _ = try EndpointAddress(start + String(repeating: "a", count: 2048 - start.utf8.count), allowsHTTP: false)
    _ = try EndpointAddress("https://\(label).example/", allowsHTTP: false)
    for text in [
      start + String(repeating: "a", count: 2049 - start.utf8.count), "https://a\(label).example/",
      "https://" + String(repeating: "a.", count: 127) + "/",
    ] {
      #expect(throws: EndpointRefusal.self, "\(text)") { try EndpointAddress(text, allowsHTTP: false) }
    }
  }

  @Test func `http is accepted only when it is allowed`() throws {
    #expect(try EndpointAddress("http://127.0.0.1:3000", allowsHTTP: true).url == "http://127.0.0.1:3000/")
    #expect(throws: EndpointRefusal.notHTTP) { try EndpointAddress("ws://127.0.0.1", allowsHTTP: true) }
  }

  @Test func `a new endpoint must not have a private address`() async throws {
    let policy = EndpointPolicy(
      allowsPrivate: false,
      resolver: FixedResolver([
        "public.example": [["198.41.0.4"]], "private.example": [["10.0.0.1"]],
        "both.example": [["198.41.0.4", "::1"]],
      ]))
    for (url, problem) in [
      ("https://public.example/", nil), ("https://198.41.0.4/", nil),
      ("https://private.example/", "address is not public"),
      ("https://both.example/", "address is not public"), ("https://127.0.0.1/", "address is not public"),
      ("https://[::ffff:10.0.0.1]/", "address is not public"), ("https://169.254.169.254/", "address is not public"),
      ("http://public.example/", "must begin with https://"),
      // The name may be in the DNS when the first event is sent.
      ("https://unknown.example/", nil),
    ] as [(String, String?)] {
      #expect(await policy.problem(with: url) == problem, "\(url)")
    }
    let local = EndpointPolicy(allowsPrivate: true, resolver: FixedResolver(["private.example": [["10.0.0.1"]]]))
    for url in ["http://127.0.0.1:3000/", "https://private.example/"] {
      #expect(await local.problem(with: url) == nil, "\(url)")
    }
  }

  /// `inet_aton` knows forms of addresses that `IPAddress` does not. The system's resolver reads them.
  @Test(arguments: ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1"])
  func `the resolver of the system finds that a name or number is loopback`(host: String) async throws {
    let policy = EndpointPolicy(allowsPrivate: false)
    #expect(await policy.problem(with: "https://\(host)/") == "address is not public")
  }

  /// Without a network, the look-up ends after five seconds.
  @Test func `an unknown name is told`() async throws {
    await #expect(throws: EndpointRefusal.self) { try await SystemResolver().addresses(of: "no-such-name.invalid") }
  }
}
