import Logging
import NIOCore
import NIOHTTP1
import Time
import Tracing

/// Has requests responded to by their routes, and observes them.
final class Exchanges: Sendable {
  let routes: RouteTable
  /// Nil records nothing.
  let metrics: RequestMetrics?
  let spans: RequestSpans?
  let accessLog: AccessLog?
  let logger: Logger

  init(
    routes: RouteTable, metrics: RequestMetrics? = nil, spans: RequestSpans? = nil, accessLog: AccessLog? = nil,
    logger: Logger
  ) {
    self.routes = routes
    self.metrics = metrics
    self.spans = spans
    self.accessLog = accessLog
    self.logger = logger
  }

  /// - Parameters:
  ///   - channel: the connection.
  ///   - write: gets the response, once, on the event loop of the channel.
  func respond(
    to arrival: ConnectionState.Arrival, on channel: any Channel,
    write: @escaping @Sendable (Exchange, Response) -> Void
  ) {
    let match = arrival.head.map(routes.match) ?? .none
    let exchange = Exchange(arrival, match, channel, self)
    guard let head = arrival.head, arrival.refusal == nil, case .route(let route, let parameter) = match else {
      return write(exchange, exchange.finish { throw arrival.refusal ?? Self.problem(match, arrival.head) })
    }
    let request = Request(
      head: head, parameter: parameter, body: arrival.body, bodyLabel: arrival.bodyLabel, channel: channel)
    let respond: Route.Respond = { [loop = channel.eventLoop] makeResponse in
      loop.execute { write(exchange, exchange.finish(makeResponse)) }
    }
    do {
      try exchange.inContext { try route.handle(request, respond) }
    } catch {
      respond { throw error }
    }
  }

  private static func problem(_ match: RouteTable.Match, _ head: HTTPRequestHead?) -> Problem {
    if case .otherMethods(let allowed) = match, let head { return .methodNotAllowed(head.method, allowed: allowed) }
    return .notFound("resource")
  }
}

/// What happens around one request, whatever responds to it: its id, time, span, metrics and access log. Errors become
/// problems here.
final class Exchange: Sendable {
  /// Names the request in logs, and in `X-Request-Id` of the response.
  let id: String
  private let head: HTTPRequestHead?
  private let route: Route?
  private let start: Moment
  private let span: (any Tracing.Span)?
  private let channel: any Channel
  private let exchanges: Exchanges

  fileprivate init(
    _ arrival: ConnectionState.Arrival, _ match: RouteTable.Match, _ channel: any Channel, _ exchanges: Exchanges
  ) {
    head = arrival.head
    start = arrival.start
    if case .route(let route, _) = match { self.route = route } else { route = nil }
    self.channel = channel
    self.exchanges = exchanges
    let headers = arrival.head?.headers ?? [:]
    id = RequestID.ofRequest(with: headers.value(ofLowercased: "x-request-id"))
    span = exchanges.spans?.start(head?.method) { headers.value(ofLowercased: $0) }
  }

  /// Makes the response, or the problem that an error is to the client, and records it.
  fileprivate func finish(_ makeResponse: () throws -> Response) -> Response {
    let response: Response
    do {
      response = try makeResponse()
    } catch {
      response = inContext { self.response(to: error) }
    }
    exchanges.metrics?.record(head?.method, route?.path.text, response.status, since: start)
    if let span { RequestSpans.end(span, head?.method, route?.path.text, response.status) }
    return head?.method == .HEAD ? response.withoutBody : response
  }

  private func response(to error: any Error) -> Response {
    if !(error is Problem) { span?.recordError(error) }
    var logger = exchanges.logger
    logger[metadataKey: "request_id"] = .string(id)
    return Problem(error, of: head, logger: logger).response
  }

  /// The response is written, or the connection is lost.
  ///
  /// - Parameter bytes: of the body.
  func end(_ response: Response, bytes: Int) {
    exchanges.accessLog?.record(
      head, route: route?.path.text, response, bytes: bytes, id: id, duration: .now - start, channel: channel)
  }

  /// Runs in the span of the request.
  fileprivate func inContext<Result>(_ body: () throws -> Result) rethrows -> Result {
    guard let span else { return try body() }
    return try InstrumentationContext.$current.withValue(span.context, operation: body)
  }
}
