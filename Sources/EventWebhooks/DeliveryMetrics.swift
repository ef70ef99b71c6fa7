import Checkout
import CoreMetrics
import FoundationEssentials
import Telemetry

extension MetricDescription {
  static let eventDeliveries = MetricDescription(
    "flashsale_event_deliveries_total", help: "Attempts to deliver an event, by result.")
  static let eventDeliveryLag = MetricDescription(
    "flashsale_event_delivery_lag_seconds",
    help: "From an event to its delivery at the first attempt, by the clocks of the database and of this server.",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])
  static let eventDeliveriesRunning = MetricDescription(
    "flashsale_event_deliveries_running", help: "Deliveries of events that wait for a response.")

  /// All metrics of the deliverer.
  package static let eventWebhooks = [eventDeliveries, eventDeliveryLag, eventDeliveriesRunning]
}

struct DeliveryMetrics: Sendable {
  private let deliveries: CounterByLabel
  private let lag: Timer
  private let running: Meter

  init(in factory: any MetricsFactory) {
    deliveries = CounterByLabel(
      .eventDeliveries, label: "result", known: DeliverySender.Outcome.words, in: factory)
    lag = MetricDescription.eventDeliveryLag.timer(in: factory)
    running = Meter(label: MetricDescription.eventDeliveriesRunning.name, factory: factory)
  }

  func note(running count: Int) {
    running.set(count)
  }

  func note(_ outcome: DeliverySender.Outcome, of delivery: Delivery) {
    deliveries.increment(outcome.word)
    guard outcome == .delivered, delivery.attempt == 1, let createdAt = Self.timestamp(of: delivery.body) else {
      return
    }
    lag.recordNanoseconds(Int64(max(0, Date().timeIntervalSince(createdAt)) * 1e9))
  }

  private struct Envelope: Decodable {
    let timestamp: String
  }

  /// When the event was written.
  private static func timestamp(of body: String) -> Date? {
    guard let envelope = try? JSONDecoder().decode(Envelope.self, from: Data(body.utf8)) else { return nil }
    return try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(envelope.timestamp)
  }
}
