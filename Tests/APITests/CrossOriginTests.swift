import NIOCore
import NIOHTTP1
import Testing

@testable import API

/// Requests of pages of other sites, and the origins whose pages may read the responses.
@Suite struct CrossOriginTests {
  private static let shop = "https://shop.example"

  @Sendable private static func respond(_ request: Request, respond: @escaping Route.Respond) {
    respond { Response(contentType: "text/plain", body: ByteBuffer(string: "done")) }
  }

  private static let routes = [
    Route(.GET, "/items/{id}", for: .buyers, callback: respond),
    Route(.DELETE, "/items/{id}", for: .buyers, callback: respond),
    Route(.POST, "/holds", for: .buyers, callback: respond),
    Route(.POST, "/refusals", for: .buyers, callback: { _, respond in respond { throw Problem.overloaded } }),
    Route(.POST, "/admin", callback: respond),
  ]

  private static func connection(_ origins: String?) throws -> TestConnection {
    let sharing = try origins.map { try #require(CrossOriginSharing($0)) }
    return try TestConnection(routes: routes + (sharing?.preflights(for: routes) ?? []), sharing: sharing)
  }

  /// The status, and the header fields about CORS, by name.
  private static func send(
    _ method: String, _ path: String, _ headers: String..., to connection: TestConnection, body: String = ""
  ) throws -> (status: String, fields: [String: String]) {
    try connection.request(method, path, headers: headers.map { $0 + "\r\n" }.joined(), body: body)
    return try read(connection)
  }

  private static func read(_ connection: TestConnection) throws -> (status: String, fields: [String: String]) {
    let text = try connection.written()
    let lines = text[..<(text.firstRange(of: "\r\n\r\n")?.lowerBound ?? text.endIndex)].split(separator: "\r\n")
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      let name = parts[0].lowercased()
      guard parts.count == 2, name.hasPrefix("access-control-") || ["vary", "allow", "content-length"].contains(name)
      else { continue }
      #expect(fields[name] == nil, "\(name) occurs twice")
      fields[name] = String(parts[1]).trimmingWhiteSpace()
    }
    return (lines.first.map { String($0.dropFirst(9).prefix(3)) } ?? "", fields)
  }

  private static let exposed = "Location, Retry-After, X-Request-Id, Idempotent-Replayed"

  @Test func `a preflight request of an allowed origin gets the methods and headers of the path`() throws {
    let connection = try Self.connection("https://other.example, \(Self.shop)")
    for (path, methods) in [("/items/1", "DELETE, GET, HEAD"), ("/holds", "POST"), ("/holds?x=1", "POST")] {
      let answer = try Self.send(
        "OPTIONS", path, "Origin: \(Self.shop)", "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: content-type,idempotency-key", to: connection)
      #expect(answer.status == "204")
      #expect(
        answer.fields == [
          "allow": (methods + ", OPTIONS").split(separator: ", ").sorted().joined(separator: ", "),
          "access-control-allow-origin": Self.shop, "access-control-allow-methods": methods,
          "access-control-allow-headers": "Content-Type, Idempotency-Key, Authorization, X-Request-Id, traceparent",
          "access-control-max-age": "600", "access-control-expose-headers": Self.exposed, "vary": "Origin",
        ])
    }
  }

  @Test(arguments: [
    "https://shop.example.evil", "https://shop.example:444", "http://shop.example", "https://SHOP.example",
    "https://shop.example/", "null", "", "https://shop.example\u{301}", "https://shop.example, https://shop.example",
  ])
  func `another origin gets no permission`(origin: String) throws {
    let connection = try Self.connection(Self.shop)
    let preflight = try Self.send(
      "OPTIONS", "/holds", "Origin: \(origin)", "Access-Control-Request-Method: POST", to: connection)
    #expect(preflight.status == "204" && preflight.fields == ["allow": "OPTIONS, POST", "vary": "Origin"])
    let answer = try Self.send("GET", "/items/1", "Origin: \(origin)", to: connection)
    #expect(answer.status == "200" && answer.fields == ["content-length": "4", "vary": "Origin"])
  }

  @Test func `two Origin fields get no permission`() throws {
    let connection = try Self.connection(Self.shop)
    let answer = try Self.send("GET", "/items/1", "Origin: \(Self.shop)", "Origin: \(Self.shop)", to: connection)
    #expect(answer.fields["access-control-allow-origin"] == nil)
  }

  @Test func `OPTIONS without a preflight request's headers gets the methods alone`() throws {
    let connection = try Self.connection(Self.shop)
    let plain = try Self.send("OPTIONS", "/holds", to: connection)
    #expect(plain.status == "204" && plain.fields == ["allow": "OPTIONS, POST", "vary": "Origin"])
    let incomplete = try Self.send("OPTIONS", "/holds", "Origin: \(Self.shop)", to: connection)
    #expect(incomplete.fields["access-control-allow-methods"] == nil)
  }

  @Test func `each response of a buyers' route names the origin, also a refusal`() throws {
    let connection = try Self.connection(Self.shop)
    let expected = [
      "access-control-allow-origin": Self.shop, "access-control-expose-headers": Self.exposed, "vary": "Origin",
    ]
    func fields(_ answer: (status: String, fields: [String: String]), _ status: String) -> [String: String] {
      #expect(answer.status == status)
      return answer.fields.filter { $0.key != "content-length" }
    }
    let origin = "Origin: \t\(Self.shop) "
    #expect(fields(try Self.send("GET", "/items/1", origin, to: connection), "200") == expected)
    #expect(fields(try Self.send("HEAD", "/items/1", origin, to: connection), "200") == expected)
    #expect(fields(try Self.send("POST", "/refusals", origin, to: connection), "503") == expected)
    // The connection refuses this one before its route.
    let large = try Self.send("POST", "/holds", origin, "Content-Length: 5000", to: connection)
    #expect(fields(large, "413") == expected)
  }

  @Test func `a star allows every origin`() throws {
    let connection = try Self.connection(" * ")
    for origin in ["https://any.example", "null"] {
      let answer = try Self.send("GET", "/items/1", "Origin: \(origin)", to: connection)
      #expect(answer.fields["access-control-allow-origin"] == "*")
      let preflight = try Self.send(
        "OPTIONS", "/holds", "Origin: \(origin)", "Access-Control-Request-Method: POST", to: connection)
      #expect(preflight.fields["access-control-allow-methods"] == "POST")
    }
    #expect(try Self.send("GET", "/items/1", to: connection).fields["access-control-allow-origin"] == nil)
  }

  @Test func `other routes have no CORS`() throws {
    let connection = try Self.connection("*")
    for (method, path, status) in [
      ("POST", "/admin", "200"), ("OPTIONS", "/admin", "405"), ("GET", "/nowhere/at/all", "404"),
      ("OPTIONS", "/nowhere/at/all", "404"), ("PUT", "/holds", "405"),
    ] {
      let answer = try Self.send(
        method, path, "Origin: \(Self.shop)", "Access-Control-Request-Method: POST", to: connection)
      #expect(answer.status == status, "\(method) \(path)")
      #expect(answer.fields.keys.allSatisfy { !$0.hasPrefix("access-control-") && $0 != "vary" }, "\(answer)")
    }
  }

  @Test func `without the setting, nothing changes`() throws {
    let connection = try Self.connection(nil)
    let answer = try Self.send("GET", "/items/1", "Origin: \(Self.shop)", to: connection)
    #expect(answer.fields == ["content-length": "4"])
    let preflight = try Self.send(
      "OPTIONS", "/holds", "Origin: \(Self.shop)", "Access-Control-Request-Method: POST", to: connection)
    #expect(preflight.status == "405" && preflight.fields["allow"] != nil)
    #expect(preflight.fields.keys.allSatisfy { !$0.hasPrefix("access-control-") && $0 != "vary" })
  }

  @Test(arguments: [
    "", ",", "https://a.example,", "*,https://a.example", "a.example", "https://", "https://a.example/",
    "https://a.example/x", "https://A.example", "HTTPS://a.example", "https://a.example:443", "http://a.example:80",
    "https://a.example:", "https://user@a.example", "null", "https://*.example", "https://a b", "://a", "https:/a",
    "https://ä.example", "https://a.example:99999",
  ])
  func `an entry that no browser sends is refused`(list: String) {
    #expect(CrossOriginSharing(list) == nil)
  }

  @Test(arguments: [
    "*", "https://a.example", "http://localhost:3000, http://127.0.0.1:3000", "http://[::1]:8080",
    "capacitor://localhost", "https://a.example:80,http://a.example:443", "https://xn--4ca.example",
  ])
  func `an entry that a browser sends is accepted`(list: String) {
    #expect(CrossOriginSharing(list) != nil)
  }
}
