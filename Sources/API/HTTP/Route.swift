import NIOHTTP1

/// A method, a path, and the handler that responds to it.
struct Route: Sendable {
  /// Accepts the response. The handler calls it once, on any thread.
  ///
  /// `makeResponse` runs later, on the connection's event loop. So the thread that delivers the results of a batch can
  /// begin the next batch at once.
  typealias Respond = @Sendable (_ makeResponse: @escaping @Sendable () throws -> Response) -> Void

  /// - Throws: an error, instead of calling `respond`.
  typealias Handler = @Sendable (Request, _ respond: @escaping Respond) throws -> Void

  /// The clients of a route.
  enum Audience {
    /// Buyers, or a program that acts for them. Only these routes have CORS, customer tokens and the rate limit.
    case buyers
    /// Operators, payment providers, monitors and readers of pages.
    case others
  }

  let method: HTTPMethod
  let path: PathTemplate
  let audience: Audience
  /// The largest body, in bytes, if it is larger than that of other routes.
  let maximumBodyBytes: Int?
  let handle: Handler

  /// A route that many buyers use at once. A callback saves a task and a thread switch for each request.
  init(
    _ method: HTTPMethod, _ path: String, for audience: Audience = .others, maximumBodyBytes: Int? = nil,
    callback: @escaping Handler
  ) {
    self.method = method
    self.path = PathTemplate(path)
    self.audience = audience
    self.maximumBodyBytes = maximumBodyBytes
    handle = callback
  }

  init(
    _ method: HTTPMethod, _ path: String, for audience: Audience = .others, maximumBodyBytes: Int? = nil,
    _ handler: @escaping @Sendable (Request) async throws -> Response
  ) {
    self.init(method, path, for: audience, maximumBodyBytes: maximumBodyBytes) { request, respond in
      Task {
        do {
          let response = try await handler(request)
          respond { response }
        } catch {
          respond { throw error }
        }
      }
    }
  }
}

/// The path of a route, such as `/api/products/{id}/events`. It has at most one parameter.
///
/// A path has one spelling: `/api//holds` and `/metrics/` match nothing. So a proxy can block a path by its spelling.
struct PathTemplate: Sendable {
  let text: String
  private let prefix: String
  /// The text after the parameter. Nil if there is no parameter.
  private let suffix: String?

  init(_ text: String) {
    self.text = text
    let parts = text.split(maxSplits: 2, omittingEmptySubsequences: false) { $0 == "{" || $0 == "}" }
    prefix = String(parts[0])
    suffix = parts.count == 3 ? String(parts[2]) : nil
  }

  /// - Returns: the segment in the place of the parameter, or an empty text if the template has no parameter. Nil if
  ///   the path does not match.
  func match(_ path: Substring) -> Substring? {
    let path = path.utf8
    guard path.starts(with: prefix.utf8) else { return nil }
    let rest = path.dropFirst(prefix.utf8.count)
    guard let suffix else { return rest.isEmpty ? Substring(rest) : nil }
    let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
    guard end > rest.startIndex, rest[end...].elementsEqual(suffix.utf8) else { return nil }
    return Substring(rest[..<end])
  }
}

/// All routes of a server.
struct RouteTable: Sendable {
  enum Match {
    case route(Route, parameter: Substring)
    /// The path has routes, but for other methods.
    case otherMethods([HTTPMethod])
    case none
  }

  /// `match` searches from first to last.
  let routes: [Route]
  /// The most bodies larger than usual that arrive at the same time. They have at most 64 MiB with Stripe's limit.
  static let maximumLargeBodies = 256

  /// The routes that accept larger bodies than others.
  private let routesWithLargeBodies: [Route]
  private let largeBodies = Places(maximumCount: RouteTable.maximumLargeBodies)

  init(routes: [Route]) {
    self.routes = routes
    routesWithLargeBodies = routes.filter { $0.maximumBodyBytes != nil }
  }

  /// Lets a request have the large body that its route accepts. Nil if the route has no limit of its own, or if the
  /// maximum number of such requests arrives. Then the usual limit applies.
  func largeBody(of head: HTTPRequestHead) -> LargeBody? {
    // Most requests end here, so `match` finds the route later.
    guard routesWithLargeBodies.contains(where: { $0.method == head.method }) else { return nil }
    let path = Self.path(head.uri)
    guard
      let route = routesWithLargeBodies.first(where: { $0.method == head.method && $0.path.match(path) != nil }),
      let maximumBytes = route.maximumBodyBytes, let place = largeBodies.take()
    else { return nil }
    return LargeBody(maximumBytes: maximumBytes, place: place)
  }

  func match(_ head: HTTPRequestHead) -> Match {
    let path = Self.path(head.uri)
    // A route for GET also responds to HEAD (RFC 9110, section 9.3.2).
    let method = head.method == .HEAD ? .GET : head.method
    for route in routes where route.method == method {
      if let parameter = route.path.match(path) { return .route(route, parameter: parameter) }
    }
    let allowed = Self.methods(of: routes.filter { $0.path.match(path) != nil })
    return allowed.isEmpty ? .none : .otherMethods(allowed)
  }

  /// The methods of routes with one path, sorted by name.
  static func methods(of routes: [Route]) -> [HTTPMethod] {
    let methods = routes.map(\.method)
    return (methods.contains(.GET) ? methods + [.HEAD] : methods).sorted { $0.rawValue < $1.rawValue }
  }

  /// The path of a request target in origin form or absolute form (RFC 9112, section 3.2). Empty for any other form.
  private static func path(_ target: String) -> Substring {
    let slash = UInt8(ascii: "/")
    var path = target.utf8[...]
    if path.first != slash {
      guard let scheme = target.utf8.firstIndex(of: UInt8(ascii: ":")),
        path[scheme...].starts(with: "://".utf8),
        let begin = path[scheme...].dropFirst(3).firstIndex(of: slash)
      else { return "" }
      path = path[begin...]
    }
    return Substring(path.prefix { $0 != UInt8(ascii: "?") })
  }
}
