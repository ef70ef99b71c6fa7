import Checkout
import Telemetry

extension MetricDescription {
  static let requests = MetricDescription(
    "flashsale_http_requests_total", help: "Responses, by method, route and status.")
  static let requestDuration = MetricDescription(
    "flashsale_http_request_duration_seconds",
    help: "From a request's head to its response's head, by method and route.",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])

  static let wrongTokens = MetricDescription(
    "flashsale_wrong_tokens_total", help: "Requests with a wrong bearer token, by the routes that need the token.")
  static let buyerRefusals = MetricDescription(
    "flashsale_buyer_refusals_total", help: "Requests of buyers refused for their token or their rate, by reason.")
  static let openStreams = MetricDescription("flashsale_open_streams", help: "Open streams.")

  /// Every metric of a server.
  package static let server =
    [requests, requestDuration, wrongTokens, buyerRefusals, openStreams, SpanQueue.spans] + ProcessMetrics.descriptions
    + checkout
}
