import Checkout
import Secrets

/// The cookie with the token of a session (RFC 6265).
enum SessionCookie {
  private static let name = "flashsale_session"

  /// The token of a request. Nil if it has no such cookie, or one that no session can have.
  static func token(of request: Request) -> Secret? {
    // HTTP/1.1 joins several Cookie fields with a semicolon, unlike other fields.
    guard let cookies = request.headers.value(ofLowercased: "cookie", separator: "; ") else { return nil }
    for cookie in cookies.utf8.split(separator: UInt8(ascii: ";")) {
      let cookie = cookie.trimmed
      guard cookie.starts(with: "\(name)=".utf8) else { continue }
      let token = String(decoding: cookie.dropFirst(name.utf8.count + 1), as: UTF8.self)
      // The first one is that of the longest path (RFC 6265, section 5.4).
      return AdminSecret.isSessionToken(token) ? Secret(token) : nil
    }
    return nil
  }

  /// The header that sets the cookie.
  ///
  /// - Parameter isSecure: whether the client used TLS. Browsers drop a `Secure` cookie that comes without TLS.
  static func setting(_ token: Secret, isSecure: Bool) -> Response.Headers {
    header(token.revealed(), seconds: OpenedSession.timeToLive.components.seconds, isSecure)
  }

  /// The header that removes the cookie.
  static func clearing(isSecure: Bool) -> Response.Headers { header("", seconds: 0, isSecure) }

  private static func header(_ value: String, seconds: Int64, _ isSecure: Bool) -> Response.Headers {
    let attributes = "HttpOnly; SameSite=Strict; Path=/api/admin; Max-Age=\(seconds)" + (isSecure ? "; Secure" : "")
    return [("Set-Cookie", "\(name)=\(value); \(attributes)")]
  }
}
