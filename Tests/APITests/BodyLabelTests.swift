import Testing

@testable import API

@Suite struct BodyLabelTests {
  private func label(_ read: (inout BodyLabel.Reader) -> Void, host: String? = "sale") -> BodyLabel {
    var reader = BodyLabel.Reader()
    read(&reader)
    return reader.label(host: host)
  }

  /// The types that a browser sends to another site without a preflight request.
  private static let withoutPreflight = [
    nil, "", "application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "Text/Plain",
  ]

  @Test(arguments: [
    nil, "", "application/json", "application/json; charset=utf-8", "Application/JSON ;charset=\"utf-8\"",
    "application/problem+json", "application/x-www-form-urlencoded", "text/plain", " text/plain ;x",
  ])
  func `a content type that may contain JSON is accepted`(type: String?) {
    #expect(label { reader in type.map { reader.readContentType($0) } } == .json)
  }

  @Test(arguments: [
    "application/xml", "json", "+json", "application/jsonx", "multipart/form-data; boundary=a", "text/html",
    "application/json\u{301}", "text/plain\u{301}",
  ])
  func `any other content type is refused`(type: String) {
    #expect(label { $0.readContentType(type) } == .ofAnotherType)
  }

  @Test func `the worst of several content types decides`() {
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

  @Test(arguments: withoutPreflight)
  func `a content type without a CORS preflight is refused from another site`(type: String?) {
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

  @Test(arguments: withoutPreflight)
  func `a content type without a CORS preflight is accepted from the same site`(type: String?) {
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

  @Test func `one foreign origin among several is enough for a refusal`() {
    #expect(
      label {
        $0.readOrigin("http://sale")
        $0.readOrigin("http://evil.example")
      } == .ofAnotherSite)
    #expect(label({ $0.readOrigin("http://sale") }, host: nil) == .ofAnotherSite)
  }

  /// A browser sends a preflight request before JSON. The server does not allow that request.
  @Test func `JSON is accepted from any site`() {
    #expect(
      label {
        $0.readContentType("application/json")
        $0.readOrigin("http://evil.example")
        $0.readSite("cross-site")
      } == .json)
  }

  @Test func `a body with a content encoding is refused`() {
    for coding in ["gzip", "br", "identity, gzip", "x", "identity\u{301}"] {
      #expect(label { $0.readContentEncoding(coding) } == .encoded, "\(coding)")
    }
    for coding in ["identity", "Identity ", ""] { #expect(label { $0.readContentEncoding(coding) } == .json) }
  }
}
