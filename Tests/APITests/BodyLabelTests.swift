import Testing

@testable import API

@Suite struct BodyLabelTests {
  private func label(_ read: (inout BodyLabel.Reader) -> Void, host: String? = "sale") -> BodyLabel {
    var reader = BodyLabel.Reader()
    read(&reader)
    return reader.label(host: host)
  }

  private static let unasked = [nil, "", "application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "Text/Plain"]

  @Test(arguments: [
    nil, "", "application/json", "application/json; charset=utf-8", "Application/JSON ;charset=\"utf-8\"",
    "application/problem+json", "application/x-www-form-urlencoded", "text/plain", " text/plain ;x",
  ])
  func `what may be JSON is read`(type: String?) {
    #expect(label { reader in type.map { reader.readContentType($0) } } == .json)
  }

  @Test(arguments: [
    "application/xml", "json", "+json", "application/jsonx", "multipart/form-data; boundary=a", "text/html",
    "application/json\u{301}", "text/plain\u{301}",
  ])
  func `any other type is refused`(type: String) {
    #expect(label { $0.readContentType(type) } == .ofAnotherType)
  }

  @Test func `of several types the worst counts`() {
    #expect(
      label {
        $0.readContentType("application/json")
        $0.readContentType("application/xml")
        $0.readContentType("application/json")
      } == .ofAnotherType)
    #expect(
      label {
        $0.readContentType("application/json")
        $0.readContentType("text/plain")
        $0.readOrigin("null")
      } == .ofAnotherSite)
  }

  @Test(arguments: unasked)
  func `a type that browsers send unasked is refused from another site's page`(type: String?) {
    for origin in [
      "http://evil.example", "null", "", "http://", "sale", "http://sale:81", "https://sale.evil.example", "ftp://sale",
      "http://sale\u{301}", "http://sale/",
    ] {
      #expect(
        label { reader in
          type.map { reader.readContentType($0) }
          reader.readOrigin(origin)
        } == .ofAnotherSite, "\(origin)")
    }
    for site in ["cross-site", "same-site", "Cross-Site", "anything else"] {
      #expect(
        label { reader in
          type.map { reader.readContentType($0) }
          reader.readSite(site)
        } == .ofAnotherSite, "\(site)")
    }
  }

  @Test(arguments: unasked)
  func `the same type is read from a page of our own`(type: String?) {
    for (origin, host) in [("http://sale", "sale"), ("https://Sale", "sALE"), ("http://[::1]:8080", "[::1]:8080")] {
      #expect(
        label(
          { reader in
            type.map { reader.readContentType($0) }
            reader.readOrigin(origin)
            reader.readSite("same-origin")
          }, host: host) == .json, "\(origin)")
    }
    #expect(label { $0.readSite("none") } == .json)
  }

  @Test func `one foreign origin is enough`() {
    #expect(
      label {
        $0.readOrigin("http://sale")
        $0.readOrigin("http://evil.example")
      } == .ofAnotherSite)
    #expect(label({ $0.readOrigin("http://sale") }, host: nil) == .ofAnotherSite)
  }

  /// A browser asks before it sends it, and is not allowed.
  @Test func `JSON is read whoever sends it`() {
    #expect(
      label {
        $0.readContentType("application/json")
        $0.readOrigin("http://evil.example")
        $0.readSite("cross-site")
      } == .json)
  }

  @Test func `an encoded body is refused`() {
    for coding in ["gzip", "br", "identity, gzip", "x", "identity\u{301}"] {
      #expect(label { $0.readContentEncoding(coding) } == .encoded, "\(coding)")
    }
    for coding in ["identity", "Identity ", ""] { #expect(label { $0.readContentEncoding(coding) } == .json) }
  }
}
