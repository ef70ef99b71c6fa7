import Addresses
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// Logs a line at the end of one request in `sampling`.
final class AccessLog: Sendable {
  private let logger: Logger
  private let proxies: TrustedProxies
  private let sampling: Int
  private let count = Atomic(0)

  /// - Parameters:
  ///   - proxies: the proxies whose `X-Forwarded-For` gives the client's address.
  ///   - sampling: the log has one of this many requests; at least 1.
  init(logger: Logger, proxies: TrustedProxies, sampling: Int) {
    self.logger = logger
    self.proxies = proxies
    self.sampling = max(1, sampling)
  }

  /// - Parameters:
  ///   - head: nil if the request was refused before its head was complete.
  ///   - route: the template of the route's path. Nil if no route matches.
  ///   - bytes: the length of the response's body.
  ///   - id: the id of the request.
  ///   - duration: the time since the head of the request was complete.
  func record(
    _ head: HTTPRequestHead?, route: String?, _ response: Response, bytes: Int, id: String, duration: Duration,
    channel: any Channel
  ) {
    guard count.wrappingAdd(1, ordering: .relaxed).oldValue % sampling == 0 else { return }
    var metadata: Logger.Metadata = [
      "method": "\(RequestMetrics.name(of: head?.method))", "route": "\(route ?? "none")",
      "status": "\(response.status.code)", "milliseconds": "\((duration / .microseconds(1)).rounded() / 1000)",
      "request_id": "\(id)", "bytes": "\(bytes)",
    ]
    if let client = proxies.client(of: head?.headers ?? [:], on: channel) { metadata["client"] = "\(client.text)" }
    if let problem = response.problem {
      metadata["problem"] = "\(problem.kind.rawValue)"
      if let reason = problem.reason { metadata["reason"] = "\(reason)" }
    }
    logger.info("request", metadata: metadata)
  }
}
