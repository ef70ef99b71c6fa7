import CoreMetrics
import Dispatch
import HTTPTypes
import Hummingbird
import Telemetry

/// Counts requests and takes their time.
struct MetricsMiddleware: RouterMiddleware {
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

  init(metrics: any MetricsFactory) {
    handles = HandleTable(capacity: Self.capacity) { key in
      let route = [("method", key.method), ("route", key.route)]
      return Handles(
        requests: MetricDescription.requests.counter(route + [("status", "\(key.status)")], in: metrics),
        duration: MetricDescription.requestDuration.timer(route, in: metrics))
    }
  }

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    let start = DispatchTime.now().uptimeNanoseconds
    do {
      let response = try await next(request, context)
      record(request.method, context.route, response.status.code, since: start)
      return response
    } catch {
      record(request.method, context.route, HTTPResponse.Status.internalServerError.code, since: start)
      throw error
    }
  }

  private func record(_ method: HTTPRequest.Method, _ route: String?, _ status: Int, since start: UInt64) {
    let handles = handles[Key(method: Self.name(of: method), route: route ?? "none", status: status)]
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

extension AppContext {
  /// The template of the route that takes the request, such as `/api/products/{id}`; nil when there is none.
  var route: String? {
    let path = endpointPath
    // What the router calls a request that no route takes.
    return path == "NotFound" ? nil : path
  }
}
