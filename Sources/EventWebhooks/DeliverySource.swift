import Checkout
import FoundationEssentials

/// Where deliveries come from, and where their results go. In a server it is the checkout.
protocol DeliverySource: Sendable {
  /// Leases deliveries that are due, and returns them with the time until the next one is due.
  func claimDeliveries(leaseID: UUID, limit: Int32) async throws -> (deliveries: [Delivery], untilNext: Duration?)

  /// Records results of deliveries that were leased with this id.
  func recordDeliveries(_ results: [DeliveryResult], leaseID: UUID) async throws

  /// Returns when new events may exist, when `duration` has passed, or when the task is cancelled.
  func waitForEvents(atMost duration: Duration) async
}

extension Checkout: DeliverySource {
  package func waitForEvents(atMost duration: Duration) async {
    await eventSignal.wait(atMost: duration)
  }
}
