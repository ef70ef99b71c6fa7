import Checkout
import Foundation
import Synchronization
import TestSupport

@testable import EventWebhooks

/// Deliveries without a database.
final class FakeSource: DeliverySource {
  private struct State {
    var due: [Delivery] = []
    var results: [DeliveryResult] = []
    var leaseIDs: [UUID: UUID] = [:]
    var recordedOutsideOfLease = 0
    var claims = 0
    var failures = 0
  }

  private let state = Mutex(State())
  private let alarm = Alarm()

  func add(_ deliveries: [Delivery]) {
    state.withLock { $0.due += deliveries }
    alarm.ring()
  }

  /// Lets so many calls fail.
  func fail(_ count: Int) { state.withLock { $0.failures = count } }

  var results: [DeliveryResult] { state.withLock { $0.results } }
  var dueCount: Int { state.withLock { $0.due.count } }
  var claims: Int { state.withLock { $0.claims } }
  var recordedOutsideOfLease: Int { state.withLock { $0.recordedOutsideOfLease } }

  func results(of endpoint: UUID) -> [DeliveryResult] { results.filter { $0.endpointID == endpoint } }

  func claimDeliveries(leaseID: UUID, limit: Int32) async throws -> (deliveries: [Delivery], untilNext: Duration?) {
    try state.withLock { state in
      state.claims += 1
      try Self.fail(&state)
      let claimed = Array(state.due.prefix(Int(limit)))
      state.due.removeFirst(claimed.count)
      for delivery in claimed { state.leaseIDs[delivery.eventID] = leaseID }
      return (claimed, state.due.isEmpty ? nil : .zero)
    }
  }

  func recordDeliveries(_ results: [DeliveryResult], leaseID: UUID) async throws {
    try state.withLock { state in
      try Self.fail(&state)
      state.results += results
      state.recordedOutsideOfLease += results.count { state.leaseIDs[$0.eventID] != leaseID }
    }
  }

  func waitForEvents(atMost duration: Duration) async { await alarm.wait(atMost: duration) }

  private static func fail(_ state: inout State) throws {
    guard state.failures > 0 else { return }
    state.failures -= 1
    throw Unexpected("the database is away")
  }
}
