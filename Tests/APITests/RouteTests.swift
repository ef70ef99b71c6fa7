import NIOHTTP1
import Testing

@testable import API

@Suite struct RouteTests {
  private static let table = RouteTable(
    routes: [
      (HTTPMethod.GET, "/things/{id}"), (.DELETE, "/things/{id}"), (.GET, "/things/{id}/events"), (.POST, "/things"),
      (.GET, "/metrics"), (.GET, "/"),
    ].map { method, path in Route(method, path) { _ in Response(contentType: "text/plain", body: .init()) } })

  /// The matched route and its parameter, the allowed methods, or `none`.
  private func match(_ method: HTTPMethod, _ uri: String) -> String {
    switch Self.table.match(HTTPRequestHead(version: .http1_1, method: method, uri: uri)) {
    case .route(let route, let parameter): "\(route.method.rawValue) \(route.path.text) \(parameter)"
    case .otherMethods(let methods): methods.map(\.rawValue).joined(separator: ", ")
    case .none: "none"
    }
  }

  @Test(arguments: [
    ("/things/1a_B", "GET /things/{id} 1a_B"), ("/things/%31", "GET /things/{id} %31"),
    ("/things/é", "GET /things/{id} é"),
    ("/things/1?x=/y", "GET /things/{id} 1"), ("/things/1/events", "GET /things/{id}/events 1"),
    ("/metrics", "GET /metrics "),
    ("http://sale:80/things/1?x", "GET /things/{id} 1"), ("/?x", "GET / "), ("http://sale/", "GET / "),
  ])
  func `a path matches the template with the same spelling`(uri: String, expected: String) {
    #expect(match(.GET, uri) == expected)
  }

  /// A proxy protects a path by its spelling. A second spelling would bypass the proxy.
  @Test(arguments: [
    "//metrics", "/metrics/", "/metrics//", "/./metrics", "/%6Detrics", "/METRICS", "metrics", "/metrics/x",
    "/metrics;x",
    "/metrics\u{301}", "", "*", "/things/", "/things//events", "/things/1/", "/things/1/2", "//things/1",
    "/things/1/events/", "/things/1//events", "http://sale", "http:/things/1", "/thing/1", "/thingsx",
  ])
  func `another spelling of a path matches no route`(uri: String) {
    #expect(match(.GET, uri) == "none")
  }

  @Test func `HEAD matches the routes of GET`() {
    #expect(match(.HEAD, "/things/1") == "GET /things/{id} 1")
    #expect(match(.HEAD, "/things") == "POST")
  }

  @Test func `a method without a route gets the methods of the path`() {
    #expect(match(.PUT, "/things/1") == "DELETE, GET, HEAD")
    #expect(match(.GET, "/things") == "POST")
    #expect(match(.RAW(value: "ODD"), "/metrics") == "GET, HEAD")
  }

  @Test func `only the route itself has its limit of the body`() {
    let large = Route(.POST, "/large", maximumBodyBytes: 9) { _ in Response(contentType: "text/plain", body: .init()) }
    let table = RouteTable(routes: Self.table.routes + [large])
    func limit(_ method: HTTPMethod, _ uri: String) -> Int? {
      table.largeBody(of: HTTPRequestHead(version: .http1_1, method: method, uri: uri))?.maximumBytes
    }
    for uri in ["/large", "/large?x=/y", "http://sale/large"] { #expect(limit(.POST, uri) == 9) }
    for uri in ["/things", "/large/", "//large", "/largest", "*", ""] { #expect(limit(.POST, uri) == nil) }
    for method in [HTTPMethod.GET, .PUT, .HEAD] { #expect(limit(method, "/large") == nil) }
    let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/large")
    #expect(Self.table.largeBody(of: head) == nil)
    // Further requests have the usual limit, so that large bodies cannot fill the memory.
    var bodies = (0..<RouteTable.maximumLargeBodies).map { _ in table.largeBody(of: head) }
    #expect(bodies.allSatisfy { $0 != nil } && table.largeBody(of: head) == nil)
    bodies.removeLast()
    #expect(table.largeBody(of: head) != nil)
  }
}
