import NIOHTTP1

/// The sites whose pages may call the routes of buyers and read the responses (CORS,
/// https://fetch.spec.whatwg.org/#http-cors-protocol).
///
/// Pages may not send cookies or other credentials of the browser. They send a customer's token themselves.
package struct CrossOriginSharing: Sendable {
  private enum Origins {
    case any
    case listed([String])
  }

  private let origins: Origins

  /// The seconds for which a browser remembers the response to a preflight request.
  private static let maximumAge = "600"
  /// The header fields that pages may send.
  private static let allowedFields = "Content-Type, Idempotency-Key, Authorization, X-Request-Id, traceparent"
  /// The header fields that pages may read. The Fetch standard adds a few more.
  private static let exposedFields = "Location, Retry-After, X-Request-Id, Idempotent-Replayed"

  /// - Parameter list: `*`, or origins as browsers send them, separated by commas. Nil if an entry is none.
  package init?(_ list: String) {
    let entries = list.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map(\.trimmed)
    if entries.count == 1, entries[0].elementsEqual("*".utf8) {
      origins = .any
    } else {
      guard entries.allSatisfy(Self.isOrigin) else { return nil }
      origins = .listed(entries.map { String(decoding: $0, as: UTF8.self) })
    }
  }

  /// Whether a browser sends this text as an origin (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin):
  /// scheme and host in lower case, no default port, no path. A browser never sends another spelling, so an entry with
  /// one would have no effect.
  private static func isOrigin(_ text: Substring.UTF8View) -> Bool {
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")), text[colon...].starts(with: "://".utf8) else {
      return false
    }
    let scheme = text[..<colon]
    let authority = text[colon...].dropFirst(3)
    // An origin without a host, such as `null`, belongs to any page that a site has sandboxed.
    guard !scheme.isEmpty, scheme.allSatisfy({ $0.isUnreserved || $0 == UInt8(ascii: "+") }), !authority.isEmpty,
      Authority(authority) != nil,
      text.allSatisfy({ $0.lowercasedASCII == $0 && 0x21...0x7E ~= $0 && $0 != UInt8(ascii: "*") })
    else { return false }
    func hasPort(_ port: String) -> Bool { authority.suffix(port.utf8.count).elementsEqual(port.utf8) }
    if scheme.elementsEqual("http".utf8) { return !hasPort(":80") && !hasPort(":") }
    if scheme.elementsEqual("https".utf8) { return !hasPort(":443") && !hasPort(":") }
    return !hasPort(":")
  }

  /// The value of `Access-Control-Allow-Origin` for pages of this origin. Nil if they may not read responses.
  private func allowed(_ origin: String) -> String? {
    switch origins {
    case .any: return "*"
    case .listed(let origins):
      let origin = origin[...].utf8.trimmed
      return origins.first { $0.utf8.elementsEqual(origin) }
    }
  }

  /// The fields of each response of a buyers' route.
  ///
  /// - Parameter origin: the request's `Origin`. Nil if there is none, or more than one.
  func fields(for origin: String?) -> Response.Headers {
    // Without `Vary`, a cache could give the response for one origin to a page of another.
    let vary = (name: "Vary", value: "Origin")
    guard let allowed = origin.flatMap(allowed) else { return [vary] }
    return [
      ("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", Self.exposedFields), vary,
    ]
  }

  // MARK: Preflight requests

  /// Routes for OPTIONS, one for each path of the buyers' routes. A browser asks them before it sends a page's request.
  func preflights(for routes: [Route]) -> [Route] {
    let buyers = routes.filter { $0.audience == .buyers }
    let paths = buyers.map(\.path.text)
    return paths.indices.filter { !paths[..<$0].contains(paths[$0]) }.map { index in
      let methods = RouteTable.methods(of: buyers.filter { $0.path.text == paths[index] }).map(\.rawValue)
      return Route(
        .OPTIONS, paths[index], for: .buyers,
        callback: { [self] request, respond in
          let response = Response(noContent: preflightFields(request, methods: methods))
          respond { response }
        })
    }
  }

  /// - Parameter methods: the methods of the path, without OPTIONS.
  private func preflightFields(_ request: Request, methods: [String]) -> Response.Headers {
    let allow = (name: "Allow", value: (methods + ["OPTIONS"]).sorted().joined(separator: ", "))
    guard request.headers.single(ofLowercased: "origin").value.flatMap(allowed) != nil,
      request.headers.contains(name: "Access-Control-Request-Method")
    else { return [allow] }
    return [
      allow, ("Access-Control-Allow-Methods", methods.joined(separator: ", ")),
      ("Access-Control-Allow-Headers", Self.allowedFields), ("Access-Control-Max-Age", Self.maximumAge),
    ]
  }
}
