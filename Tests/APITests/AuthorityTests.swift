import Testing

@testable import API

@Suite struct AuthorityTests {
  @Test(arguments: [
    "", "sale", "sale:", "sale:0", "sale:65535", "127.0.0.1:8080", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:1",
    "a-b_c.~!$&'()*+,;=", "%41.example", "sale:00080",
  ])
  func `a host with an optional port is accepted`(value: String) {
    #expect(Authority(value[...].utf8) != nil)
  }

  @Test(arguments: [
    "a:99999x", "a:65536", "a:99999999999999999999", "a:-1", "a:+1", "a:1:2", ":80", "[::1", "[]", "[::1]x", "[::1]80",
    "[127.0.0.1]", "[v1.x]", "[fe80::1%25eth0]", "[1::2::3]", "::1", "a<b>", "a b", "a\tb", "a/b", "a?b", "a#b",
    "user@a", "a\"b", "a\\b", "a^b", "a`b", "a{b}", "a|b", "%4", "%zz", "%", "é", "a\u{301}", "a,b c", "]", "[",
  ])
  func `an invalid host or port is refused`(value: String) {
    #expect(Authority(value[...].utf8) == nil)
  }

  @Test func `loopback names and addresses are recognized`() {
    for value in [
      "localhost", "LocalHost:80", "127.0.0.1", "127.1.2.3:8080", "[::1]", "[0::1]:8080", "[::ffff:127.0.0.1]",
    ] {
      #expect(Authority(value[...].utf8)?.isLoopback == true, "\(value)")
    }
    for value in [
      "", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "notlocalhost", "128.0.0.1", "[::2]",
      "0.0.0.0", "10.0.0.1", "127.1", "2130706433", "localhost.",
    ] {
      #expect(Authority(value[...].utf8)?.isLoopback != true, "\(value)")
    }
  }
}
