import Dispatch
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import Tracing

/// The fast routes of a server, and what happens around their handlers: what middlewares do for the router's.
final class FastRoutes: Sendable {
  let routes: [FastRoute]
  let metrics: RequestMetrics?
  let spans: RequestSpans?
  private let logger: Logger

  init(routes: [FastRoute], metrics: RequestMetrics?, spans: RequestSpans?, logger: Logger) {
    self.routes = routes
    self.metrics = metrics
    self.spans = spans
    self.logger = logger
  }

  /// The route that takes a request, and its parameter. Nil when none does, or the request needs more than is done here.
  func route(for head: HTTPRequestHead) -> (FastRoute, Substring)? {
    guard head.version == .http1_1, head.isKeepAlive else { return nil }
    for route in routes {
      if let parameter = route.parameter(in: head) { return (route, parameter) }
    }
    return nil
  }

  /// - Parameters:
  ///   - loop: the connection's.
  ///   - reply: gets the answer and the request's id, once, on the event loop, after this has returned.
  func answer(
    _ request: WholeRequest, _ route: FastRoute, _ parameter: Substring, on loop: any EventLoop,
    reply: @escaping @Sendable (Answer, String) -> Void
  ) {
    let headers = request.head.headers
    let id = RequestID.ofRequest(with: headers[.xRequestID])
    let start = metrics == nil ? 0 : DispatchTime.now().uptimeNanoseconds
    let span = spans?.startIfWanted(route.method) { headers.value(ofLowercased: $0) }
    let finish: FastRoute.Reply = { [self] makeAnswer in
      loop.execute { [self] in
        let answer: Answer
        do {
          answer = try makeAnswer()
        } catch {
          var logger = logger
          logger[metadataKey: "hb.request.id"] = .string(id)
          answer = Self.inContext(of: span) {
            Problem(error, of: route.method, path: request.head.uri, logger: logger).answer
          }
        }
        metrics?.record(route.method, route.path, answer.status, since: start)
        if let span { RequestSpans.end(span, route.method, route.path, answer.status) }
        reply(answer, id)
      }
    }
    do {
      let whole = FastRoute.Request(
        headers: headers, parameter: parameter, body: request.body ?? .init(), bodyLabel: request.bodyLabel)
      try Self.inContext(of: span) { try route.handle(whole, finish) }
    } catch {
      finish { throw error }
    }
  }

  private static func inContext<Result>(
    of span: (any Tracing.Span)?, _ body: () throws -> Result
  ) rethrows -> Result {
    guard let span else { return try body() }
    return try InstrumentationContext.$current.withValue(span.context, operation: body)
  }
}
