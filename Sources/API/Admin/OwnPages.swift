import Addresses
import NIOHTTP1

/// Refuses requests that pages of other sites send with an operator's cookie (cross-site request forgery).
///
/// A browser adds the cookie to requests of other pages, too: `SameSite=Strict` does not tell apart the ports of a host.
/// Such a page cannot set `Content-Type: application/json` without a preflight request, which this server does not
/// allow. It cannot choose `Origin` or `Sec-Fetch-Site` at all.
struct OwnPages: Sendable {
  /// The proxies that say whether the client used TLS.
  let proxies: TrustedProxies

  /// - Throws: `Problem.Kind.forbiddenOrigin` unless a page of this server may have sent the request.
  func check(_ request: Request) throws {
    // The value `none` means that the user typed the address.
    if let site = request.headers.value(ofLowercased: "sec-fetch-site"),
      !site.utf8.isWord("same-origin"), !site.utf8.isWord("none")
    {
      throw Self.problem("A page of another site sent the request.")
    }
    // A page of another site cannot read the response, and reading has no effect.
    if request.method == .GET || request.method == .HEAD { return }
    try checkChange(request)
  }

  /// As `check`, for a request that changes something, whatever its method.
  ///
  /// It does not depend on a cookie: signing in has none. A page of another site must not sign an operator in, either.
  func checkChange(_ request: Request) throws {
    let type = (request.headers.value(ofLowercased: "content-type") ?? "").utf8.prefix { $0 != UInt8(ascii: ";") }
    guard type.trimmed.isWord("application/json") else {
      throw Self.problem("Send Content-Type: application/json, also without a body.")
    }
    guard let origin = request.headers.value(ofLowercased: "origin") else {
      throw Self.problem("Send an Origin. Browsers do so.")
    }
    let own = Self.origin(isSecure: isSecure(request), host: request.headers.value(ofLowercased: "host") ?? "")
    guard origin.utf8.map(\.lowercasedASCII) == own.utf8.map(\.lowercasedASCII) else {
      throw Self.problem("The Origin is not the server's own, which is \(own).")
    }
  }

  /// Whether the client used TLS.
  func isSecure(_ request: Request) -> Bool {
    proxies.isSecure(
      connection: request.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) },
      forwardedProtocol: request.headers.value(ofLowercased: "x-forwarded-proto"))
  }

  /// RFC 6454, section 7. `host` has the port, unless it is the scheme's own.
  private static func origin(isSecure: Bool, host: String) -> String { (isSecure ? "https://" : "http://") + host }

  private static func problem(_ detail: String) -> Problem { Problem(.forbiddenOrigin, detail) }
}
