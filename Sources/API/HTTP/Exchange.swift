import Logging
import NIOCore
import NIOHTTP1
import Time
import Tracing

/// Passes each request to its route, and records metrics, spans and log lines.
final class Exchanges: Sendable {
  let routes: RouteTable
  /// The sites whose pages may read responses to buyers. If nil, no page of another site may.
  let sharing: CrossOriginSharing?
  /// If nil, no metrics are recorded. The same applies to `spans` and `accessLog`.
  let metrics: RequestMetrics?
  let spans: RequestSpans?
  let accessLog: AccessLog?
  let figures: LiveFigures
  let logger: Logger

  init(
    routes: RouteTable, sharing: CrossOriginSharing? = nil, metrics: RequestMetrics? = nil,
    spans: RequestSpans? = nil, accessLog: AccessLog? = nil, figures: LiveFigures = LiveFigures(), logger: Logger
  ) {
    self.routes = routes
    self.sharing = sharing
    self.metrics = metrics
    self.spans = spans
    self.accessLog = accessLog
    self.figures = figures
    self.logger = logger
  }

  /// Called on the event loop of the channel.
  ///
  /// - Parameters:
  ///   - channel: the connection.
  ///   - write: called once with the response, on the event loop of the channel.
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
      requestID: exchange.id, head: head, parameter: parameter, body: arrival.body, bodyLabel: arrival.bodyLabel,
      channel: channel)
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

/// One request and its response, with their id, clock, span, metrics and log lines. It turns errors into problems.
final class Exchange: Sendable {
  /// The request's id, for log lines and the response's `X-Request-Id`.
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

  /// Makes the response and records it. If `makeResponse` throws, the response is a problem.
  fileprivate func finish(_ makeResponse: () throws -> Response) -> Response {
    var response: Response
    do {
      response = try makeResponse()
    } catch {
      response = inContext { self.response(to: error) }
    }
    if let sharing = exchanges.sharing, route?.audience == .buyers {
      response.headers += sharing.fields(for: head?.headers.single(ofLowercased: "origin").value)
    }
    exchanges.metrics?.record(head?.method, route?.path.text, response.status, since: start)
    exchanges.figures.record(response.problem?.kind, since: start)
    if let span { RequestSpans.end(span, head?.method, route?.path.text, response.status) }
    return head?.method == .HEAD ? response.withoutBody : response
  }

  private func response(to error: any Error) -> Response {
    if !(error is Problem) { span?.recordError(error) }
    var logger = exchanges.logger
    logger[metadataKey: "request_id"] = .string(id)
    return Problem(error, of: head, logger: logger).response
  }

  /// Writes the access log. Called when the response has been written, or when the connection is lost.
  ///
  /// - Parameter bytes: the length of the body that was written.
  func end(_ response: Response, bytes: Int) {
    exchanges.accessLog?.record(
      head, route: route?.path.text, response, bytes: bytes, id: id, duration: .now - start, channel: channel)
  }

  /// Runs `body` in the context of the request's span.
  fileprivate func inContext<Result>(_ body: () throws -> Result) rethrows -> Result {
    guard let span else { return try body() }
    return try InstrumentationContext.$current.withValue(span.context, operation: body)
  }
}
