import CoreMetrics
import NIOHTTP1
import Telemetry
import Time

/// Counts responses, and measures the time from request to response.
struct RequestMetrics: Sendable {
  /// The labels of a series. Clients cannot invent values, so the number of series is bounded.
  private struct Key: Hashable {
    let method: String
    let route: String
    let status: Int
  }

  private struct Handles {
    let requests: Counter
    let duration: CoreMetrics.Timer
  }

  /// More than the number of all combinations of method, route and status that occur.
  private static let capacity = 512

  private let handles: HandleTable<Key, Handles>

  init(in metrics: any MetricsFactory) {
    handles = HandleTable(capacity: Self.capacity) { key in
      let route = [("method", key.method), ("route", key.route)]
      return Handles(
        requests: MetricDescription.requests.counter(route + [("status", "\(key.status)")], in: metrics),
        duration: MetricDescription.requestDuration.timer(route, in: metrics))
    }
  }

  /// - Parameters:
  ///   - method: nil if the request was refused before its head was complete.
  ///   - route: the template of the route's path. Nil if no route matches.
  ///   - start: the time when the head of the request was complete.
  func record(_ method: HTTPMethod?, _ route: String?, _ status: HTTPResponseStatus, since start: Moment) {
    let handles = handles[Key(method: Self.name(of: method), route: route ?? "none", status: Int(status.code))]
    handles.requests.increment()
    handles.duration.recordNanoseconds(Moment.now.nanoseconds - start.nanoseconds)
  }

  /// The name of a method in metrics and logs. A client may send any word, so unknown methods are `other`.
  static func name(of method: HTTPMethod?) -> String {
    switch method {
    case .GET: "GET"
    case .HEAD: "HEAD"
    case .POST: "POST"
    case .PUT: "PUT"
    case .PATCH: "PATCH"
    case .DELETE: "DELETE"
    case .OPTIONS: "OPTIONS"
    default: "other"
    }
  }
}
