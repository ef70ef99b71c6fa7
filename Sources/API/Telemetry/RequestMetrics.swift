import CoreMetrics
import Dispatch
import HTTPTypes
import Telemetry

/// Counts requests and takes their time.
struct RequestMetrics: Sendable {
  /// What tells one series of metrics from another. Nothing in it is the client's to choose freely.
  private struct Key: Hashable {
    let method: String
    let route: String
    let status: Int
  }

  private struct Handles {
    let requests: Counter
    let duration: CoreMetrics.Timer
  }

  /// More than there are routes, times the statuses that each has.
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
  ///   - route: its path's template; nil when no route took the request.
  ///   - start: on the clock of `DispatchTime`, in nanoseconds.
  func record(_ method: HTTPRequest.Method, _ route: String?, _ status: HTTPResponse.Status, since start: UInt64) {
    let handles = handles[Key(method: Self.name(of: method), route: route ?? "none", status: status.code)]
    handles.requests.increment()
    handles.duration.recordNanoseconds(DispatchTime.now().uptimeNanoseconds - start)
  }

  private static func name(of method: HTTPRequest.Method) -> String {
    switch method {
    case .get, .head, .post, .put, .patch, .delete, .options: method.rawValue
    // A client may send any word.
    default: "other"
    }
  }
}
