import API
import Checkout
import CoreMetrics
import EventWebhooks
import Logging
import Postgres
import Telemetry
import Tracing

/// The metrics and the tracer of a server. Each is nil when its setting is off, and then costs nothing.
struct Observation {
  /// Nil when METRICS is off.
  let metrics: MetricsRegistry?
  let checkout: CheckoutMetrics?
  /// The tracer and the exporter are nil without a collector.
  let tracer: (any Tracer)?
  let exporter: SpanExporter?

  init(_ settings: Settings, logger: Logger) throws {
    metrics = try settings.metrics() ? MetricsRegistry(MetricDescription.server + MetricDescription.eventWebhooks) : nil
    checkout = metrics.map { CheckoutMetrics(in: $0) }
    guard let tracing = try settings.tracing() else {
      tracer = nil
      exporter = nil
      return
    }
    let queue = SpanQueue(metrics: metrics ?? NOOPMetricsHandler.instance)
    tracer = OTLPTracer(queue: queue, sampleRatio: tracing.sampleRatio)
    exporter = SpanExporter(queue: queue, collector: tracing.collector, logger: logger)
  }

  var onStatement: Connection.StatementObserver? {
    guard let checkout else { return nil }
    return { checkout.recordStatement($0, nanoseconds: $1) }
  }
}
