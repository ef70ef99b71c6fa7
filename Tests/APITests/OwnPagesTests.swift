import Checkout
import NIOHTTP1
import Testing

@testable import API

/// Which requests with an operator's cookie are refused, and how the cookie looks. `TestConnection` comes from
/// 192.0.2.1, and its requests have `Host: sale`.
@Suite struct OwnPagesTests {
  private static let change = "Content-Type: application/json\r\nOrigin: http://sale\r\n"

  /// Whether the request is admitted.
  private func isAdmitted(_ method: String, _ headers: String, proxies: String? = nil) throws -> Bool {
    let ownPages = OwnPages(proxies: proxies.flatMap { TrustedProxies($0) } ?? TrustedProxies())
    do {
      try ownPages.check(request(method, headers))
      return true
    } catch let problem as Problem {
      #expect(problem.kind == .forbiddenOrigin)
      return false
    }
  }

  private func request(_ method: String = "GET", _ headers: String) throws -> Request {
    let connection = try TestConnection(routes: [])
    // The connection has no route for other methods. The check looks at the method of the head only.
    try connection.request("POST", headers: headers)
    let arrived = try #require(connection.waiting.first)
    var head = arrived.head
    head.method = HTTPMethod(rawValue: method)
    connection.respond()
    return Request(
      requestID: arrived.requestID, head: head, parameter: "", body: arrived.body, bodyLabel: arrived.bodyLabel,
      channel: arrived.channel)
  }

  @Test(arguments: ["POST", "PATCH", "DELETE", "PUT"])
  func `a change is admitted from a page of this server`(method: String) throws {
    #expect(try isAdmitted(method, Self.change))
    #expect(try isAdmitted(method, Self.change + "Sec-Fetch-Site: same-origin\r\n"))
    #expect(try isAdmitted(method, "Content-Type: application/json; charset=utf-8\r\nOrigin: http://SALE\r\n"))
  }

  @Test(arguments: [
    "", "Content-Type: application/json\r\n", "Origin: http://sale\r\n",
    "Content-Type: text/plain\r\nOrigin: http://sale\r\n", "Content-Type: a+json\r\nOrigin: http://sale\r\n",
    "Content-Type: application/json\r\nContent-Type: text/plain\r\nOrigin: http://sale\r\n",
    "Content-Type: application/json\r\nOrigin: https://sale\r\n",
    "Content-Type: application/json\r\nOrigin: http://sale:8080\r\n",
    "Content-Type: application/json\r\nOrigin: http://sale.example\r\n",
    "Content-Type: application/json\r\nOrigin: http://sale/\r\n",
    "Content-Type: application/json\r\nOrigin: null\r\n", "Content-Type: application/json\r\nOrigin:\r\n",
    "Content-Type: application/json\r\nOrigin: http://sale\r\nOrigin: http://evil\r\n",
    change + "Sec-Fetch-Site: cross-site\r\n", change + "Sec-Fetch-Site: same-site\r\n",
  ])
  func `a change without proof that a page of this server sent it is refused`(headers: String) throws {
    for method in ["POST", "PATCH", "DELETE"] { #expect(try !isAdmitted(method, headers)) }
  }

  @Test func `a read is refused only when a page of another site sent it`() throws {
    for method in ["GET", "HEAD"] {
      #expect(try isAdmitted(method, ""))
      #expect(try isAdmitted(method, "Origin: http://evil\r\n"))
      #expect(try isAdmitted(method, "Sec-Fetch-Site: none\r\n"))
      #expect(try isAdmitted(method, "Sec-Fetch-Site: same-origin\r\n"))
      for site in ["cross-site", "same-site", "", "x"] {
        #expect(try !isAdmitted(method, "Sec-Fetch-Site: \(site)\r\n"), "\(site)")
      }
    }
  }

  @Test func `behind a trusted proxy with TLS the server's own origin has the scheme https`() throws {
    let secure = "Content-Type: application/json\r\nOrigin: https://sale\r\nX-Forwarded-Proto: https\r\n"
    #expect(try isAdmitted("POST", secure, proxies: "192.0.2.1"))
    #expect(try !isAdmitted("POST", secure, proxies: "192.0.2.9"))
    #expect(try !isAdmitted("POST", secure))
    #expect(try !isAdmitted("POST", Self.change + "X-Forwarded-Proto: https\r\n", proxies: "192.0.2.1"))
    #expect(try isAdmitted("POST", Self.change + "X-Forwarded-Proto: http\r\n", proxies: "192.0.2.1"))
  }

  // MARK: The cookie

  private static let token = String(repeating: "0af9", count: 12)

  @Test(arguments: [
    "flashsale_session=\(token)", "a=b; flashsale_session=\(token)", "a=b;flashsale_session=\(token) ;c=d",
    "flashsale_session=\(token); flashsale_session=x", "a=b\r\nCookie: flashsale_session=\(token)",
  ])
  func `the token is read from the cookie`(cookie: String) throws {
    #expect(SessionCookie.token(of: try request("GET", "Cookie: \(cookie)\r\n"))?.revealed() == Self.token)
  }

  @Test(arguments: [
    "flashsale_session=", "flashsale_session", "Flashsale_session=\(token)", "flashsale_session=\"\(token)\"",
    "flashsale_session=\(token)0", "xflashsale_session=\(token)", "a=flashsale_session=\(token)", "a=b",
  ])
  func `what cannot be the token of a session is no token`(cookie: String) throws {
    #expect(SessionCookie.token(of: try request("GET", "Cookie: \(cookie)\r\n"))?.revealed() == nil)
    #expect(SessionCookie.token(of: try request("GET", ""))?.revealed() == nil)
  }
}
