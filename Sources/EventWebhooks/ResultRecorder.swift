import Checkout
import FoundationEssentials
import Synchronization
import Telemetry
import Time

/// Records the results of deliveries in batches. Results that arrive during a statement are in the next one.
final class ResultRecorder: Sendable {
  /// The most results of one statement.
  private static let batchSize = 256

  /// The pause after each statement. It makes batches larger, so that fewer statements run beside the sale.
  private static let pause: Duration = .milliseconds(50)

  private static let pauseAfterFailure: Duration = .seconds(1)

  /// Less than the lease of 30 s. Later, another claim may have the delivery, and the result does not count.
  private static let longestWait: Duration = .seconds(28)

  private struct Entry: Sendable {
    let result: DeliveryResult
    let leaseID: UUID
    let claimedAt: Moment
  }

  private struct State {
    var entries: [Entry] = []
    var isFinished = false
  }

  private let source: any DeliverySource
  private let log: SparseLog
  private let state = Mutex(State())
  private let alarm = Alarm()

  init(source: any DeliverySource, log: SparseLog) {
    self.source = source
    self.log = log
  }

  func add(_ result: DeliveryResult, of item: DeliveryQueue.Item) {
    state.withLock {
      $0.entries.append(Entry(result: result, leaseID: item.leaseID, claimedAt: item.claimedAt))
    }
    alarm.ring()
  }

  /// No results follow. `run` records the rest, and returns.
  func finish() {
    state.withLock { $0.isFinished = true }
    alarm.ring()
  }

  /// Records results until `finish` is called. It must not run in a task that is cancelled, because a result that is not
  /// recorded is a delivery that is repeated.
  func run() async {
    while true {
      // Read before the results are taken: those that came before `finish` are then among them.
      let isFinished = state.withLock { $0.isFinished }
      let isRecorded = await recordAll()
      // With the database away, the leases decide.
      if isFinished { return }
      try? await Task.sleep(for: isRecorded ? Self.pause : Self.pauseAfterFailure)
      if isRecorded { await alarm.wait(atMost: .seconds(60)) }
    }
  }

  /// - Returns: false if the database failed. The results wait for the next call.
  private func recordAll() async -> Bool {
    while let batch = takeBatch() {
      do {
        // An answer may get lost after the commit. The same results again then have no effect, because the lease has
        // ended with the first ones.
        try await source.recordDeliveries(batch.map(\.result), leaseID: batch[0].leaseID)
      } catch {
        log.warning(
          "results of event deliveries cannot be recorded", reason: "record", metadata: ["error": "\(error)"])
        state.withLock { $0.entries = batch + $0.entries }
        return false
      }
    }
    return true
  }

  /// Results of one lease. Nil when there are none.
  private func takeBatch() -> [Entry]? {
    let start = Moment.now - Self.longestWait
    return state.withLock { state in
      state.entries.removeAll { $0.claimedAt < start }
      guard let leaseID = state.entries.first?.leaseID else { return nil }
      let batch = state.entries.filter { $0.leaseID == leaseID }.prefix(Self.batchSize)
      let rest = state.entries.filter { $0.leaseID == leaseID }.dropFirst(Self.batchSize)
      state.entries = rest + state.entries.filter { $0.leaseID != leaseID }
      return Array(batch)
    }
  }
}
