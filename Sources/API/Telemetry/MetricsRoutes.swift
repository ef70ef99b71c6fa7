import Checkout
import NIOCore
import Telemetry

/// `GET /metrics`, for Prometheus: the metrics of this server, and the gauges of the checkout.
struct MetricsRoutes {
  let checkout: Checkout
  let metrics: MetricsRegistry
  let streams: StockStreams

  var routes: [Route] {
    [
      Route(.GET, "/metrics") { _ in
        var text = PrometheusText()
        metrics.write(into: &text)
        ProcessMetrics.write(into: &text)
        text.begin(MetricDescription.openStreams.name, kind: .gauge, help: MetricDescription.openStreams.help)
        text.add(MetricDescription.openStreams.name, Double(streams.openCount))
        let gauges = Dictionary(grouping: await checkout.gauges()) { $0.metric.name }
        for (name, values) in gauges.sorted(by: { $0.key < $1.key }) {
          text.begin(name, kind: .gauge, help: values[0].metric.help)
          for gauge in values { text.add(name, labels: PrometheusText.labels(gauge.labels), gauge.value) }
        }
        return Response(contentType: PrometheusText.contentType, body: ByteBuffer(string: text.text))
      }
    ]
  }
}
