import CoreMetrics
import Telemetry

/// The counters, timers and histograms of the checkout. They are created once.
package final class CheckoutMetrics: Sendable {
  let holds: CounterByLabel
  let orders: CounterByLabel
  let paymentEvents: CounterByLabel
  let refunds: CounterByLabel
  /// In minor units.
  let refundedAmount: CounterByLabel
  let jobs: Counter
  let jobsPutOff: Counter
  let expiryLag: Timer
  private let statements: TimerByLabel
  private let factory: any MetricsFactory

  package init(in factory: any MetricsFactory) {
    func outcomes<Outcome: CountedOutcome>(
      _ description: MetricDescription, _ label: String, of type: Outcome.Type
    ) -> CounterByLabel {
      CounterByLabel(description, label: label, known: type.words, in: factory)
    }
    holds = outcomes(.holds, "outcome", of: ReserveHold.Outcome.self)
    orders = outcomes(.orders, "outcome", of: PlaceOrder.Outcome.self)
    paymentEvents = outcomes(.paymentEvents, "verdict", of: ApplyPaymentEvent.Outcome.self)
    refunds = outcomes(.refunds, "outcome", of: RefundOrder.Outcome.self)
    // A currency is that of a product, which an operator chose.
    refundedAmount = CounterByLabel(.refundedAmount, label: "currency", known: [], in: factory)
    jobs = MetricDescription.jobs.counter(in: factory)
    jobsPutOff = MetricDescription.jobsPutOff.counter(in: factory)
    expiryLag = MetricDescription.expiryLag.timer(in: factory)
    statements = TimerByLabel(.statementDuration, label: "statement", in: factory)
    self.factory = factory
  }

  /// Records a round trip to the database. For `Pool.onStatement`.
  package func recordStatement(_ name: String, nanoseconds: Int64) {
    statements.record(name, nanoseconds: nanoseconds)
  }

  func batchSize(of useCase: String) -> Recorder {
    MetricDescription.batchSize.histogram([("use_case", useCase)], in: factory)
  }

  func batchWait(of useCase: String) -> Timer {
    MetricDescription.batchWait.timer([("use_case", useCase)], in: factory)
  }
}
