import Checkout
import CoreMetrics
import FoundationEssentials
import Logging
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import Telemetry
import Time

/// Sends events to the endpoints that want them. Every server has a deliverer; a lease in the database gives each
/// delivery to one of them.
///
///     claim (lease 30 s) ──▶ queue ──▶ send (at most 15 s, outside of any transaction) ──▶ record
///
/// An event is sent at least once. If a server ends between sending and recording, the lease ends, and another server
/// sends the event again with the same `webhook-id`. If it is only slow, its late result no longer counts.
///
/// The deliverer must not slow down a sale. It sends a limited number of events in a second. It runs at most one claim and
/// one record at a time, at a low priority, and its connections have a thread of their own.
package struct EventDeliverer: Service, CustomStringConvertible {
  package struct Configuration: Sendable {
    /// Where events may be sent.
    package var policy: EndpointPolicy
    /// At full speed, events would take the processors from the sale that writes them: sending one takes several times
    /// the processor time of writing it.
    package static let defaultPerSecond = 600

    /// The most deliveries in a second. At least 20.
    package var perSecond = Self.defaultPerSecond
    /// How long deliveries may go on after graceful shutdown. The others are sent again after their leases.
    package var drainTime: Duration = .seconds(5)
    /// Nil records no metrics.
    package var metrics: (any MetricsFactory)?

    var limits = DeliveryQueue.Limits()
    var sending = DeliverySender.Limits()
    var trustRoots: [NIOSSLCertificate] = []

    package init(policy: EndpointPolicy) {
      self.policy = policy
    }
  }

  /// A claim follows another one at most this soon. During a sale, commits ring the event signal all the time.
  private static let claimPause: Duration = .milliseconds(50)

  /// The most deliveries of one claim.
  private var claimSize: Int { max(1, configuration.perSecond * Int(Self.claimPause / .milliseconds(1)) / 1000) }

  /// The longest time between claims. It finds the events of other servers, and those whose server has ended.
  private static let longestRest: Duration = .seconds(1)

  /// The rest after a claim that found nothing although a delivery is due. Another server has it.
  private static let claimedRest: Duration = .milliseconds(100)

  /// How long claims have one lease id. It is less than the lease. So if this server claims a delivery again after its
  /// lease, the second claim has another id. The result of the first one does not count.
  private static let leaseIDTime: Duration = .seconds(10)

  /// Short, because `ServiceGroup` logs it.
  package var description: String { "EventDeliverer" }

  private let source: any DeliverySource
  private let configuration: Configuration
  private let metrics: DeliveryMetrics?
  private let log: SparseLog
  private let state: State

  package init(checkout: Checkout, configuration: Configuration, logger: Logger) {
    self.init(source: checkout, configuration: configuration, logger: logger)
  }

  init(source: any DeliverySource, configuration: Configuration, logger: Logger) {
    self.source = source
    self.configuration = configuration
    metrics = configuration.metrics.map { DeliveryMetrics(in: $0) }
    log = SparseLog(logger: logger)
    state = State(limits: configuration.limits)
  }

  private final class State: Sendable {
    private struct Locked {
      var queue: DeliveryQueue
      var isStopped = false
    }

    private let locked: Mutex<Locked>
    /// Rings when a place is free, and at shutdown.
    let alarm = Alarm()

    init(limits: DeliveryQueue.Limits) {
      locked = Mutex(Locked(queue: DeliveryQueue(limits: limits)))
    }

    var isStopped: Bool { locked.withLock { $0.isStopped } }
    var free: Int { locked.withLock { $0.queue.free } }
    var runningCount: Int { locked.withLock { $0.queue.runningCount } }

    func stop() {
      locked.withLock { locked in
        locked.isStopped = true
        locked.queue.removeWaiting()
      }
      alarm.ring()
    }

    func add(_ items: [DeliveryQueue.Item]) {
      // A claim may have been under way when the server stopped. Its deliveries are left to their leases.
      locked.withLock { if !$0.isStopped { $0.queue.add(items) } }
    }

    func next() -> DeliveryQueue.Item? { locked.withLock { $0.queue.next() } }

    /// Ends a delivery, and takes the next one that may run.
    func next(after item: DeliveryQueue.Item) -> DeliveryQueue.Item? {
      let (next, wasFull) = locked.withLock { locked in
        let wasFull = locked.queue.free == 0
        locked.queue.end(item)
        return (locked.queue.next(), wasFull)
      }
      if wasFull { alarm.ring() }
      return next
    }
  }

  /// Delivers events until graceful shutdown. Then it claims no more, and deliveries that are under way may end within
  /// `drainTime`. Their results are recorded. When the task is cancelled, deliveries end at once.
  package func run() async {
    let delivering = Task(priority: .utility) { await deliver() }
    await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await delivering.value
      } onGracefulShutdown: {
        state.stop()
        Task {
          try? await Task.sleep(for: configuration.drainTime)
          delivering.cancel()
        }
      }
    } onCancel: {
      state.stop()
      delivering.cancel()
    }
  }

  private func deliver() async {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let clients = EndpointClients(
      // Endpoints may share a host, so a silent one must not take all of its connections. The queue limits each endpoint.
      policy: configuration.policy, connectionsPerHost: configuration.limits.running, group: group,
      trustRoots: configuration.trustRoots)
    let sender = DeliverySender(
      clients: clients, allowsHTTP: configuration.policy.allowsPrivate, limits: configuration.sending)
    let recorder = ResultRecorder(source: source, log: log)
    // A task of its own, which a cancellation does not reach: see `ResultRecorder.run`.
    let recording = Task(priority: .utility) { await recorder.run() }
    await withDiscardingTaskGroup { sends in
      await claim(into: &sends, sender, recorder)
    }
    recorder.finish()
    await recording.value
    await clients.shutDown()
    try? await group.shutdownGracefully()
  }

  /// Claims deliveries and starts them, until the server stops.
  private func claim(
    into sends: inout DiscardingTaskGroup, _ sender: DeliverySender, _ recorder: ResultRecorder
  ) async {
    var leaseID = UUID()
    var leaseIDStart = Moment.now
    while !state.isStopped {
      var rest = Self.longestRest
      let limit = min(state.free, claimSize)
      if limit > 0 {
        let now = Moment.now
        if now - leaseIDStart >= Self.leaseIDTime { (leaseID, leaseIDStart) = (UUID(), now) }
        do {
          let (deliveries, untilNext) = try await source.claimDeliveries(leaseID: leaseID, limit: Int32(limit))
          state.add(
            deliveries.map { DeliveryQueue.Item(delivery: $0, leaseID: leaseID, claimedAt: now) })
          while let item = state.next() {
            sends.addTask { await send(from: item, with: sender, recorder) }
          }
          metrics?.note(running: state.runningCount)
          let shortest = deliveries.isEmpty ? Self.claimedRest : .zero
          rest = min(max(untilNext ?? Self.longestRest, shortest), Self.longestRest)
        } catch CheckoutError.databaseAway {
          // The pool logs that once.
        } catch {
          if state.isStopped { return }
          log.warning("event deliveries cannot be claimed", reason: "claim", metadata: ["error": "\(error)"])
        }
      }
      try? await Task.sleep(for: Self.claimPause)
      if rest > .zero { await wait(atMost: rest) }
    }
  }

  /// Returns when new events may exist, when a place is free, or when the server stops.
  private func wait(atMost duration: Duration) async {
    await withTaskGroup { group in
      group.addTask { await source.waitForEvents(atMost: duration) }
      group.addTask { await state.alarm.wait(atMost: duration) }
      await group.next()
      group.cancelAll()
    }
  }

  /// Sends a delivery, and then those that were waiting for its place.
  private func send(from first: DeliveryQueue.Item, with sender: DeliverySender, _ recorder: ResultRecorder) async {
    var next: DeliveryQueue.Item? = first
    while let item = next {
      if let attempt = await sender.send(item.delivery) {
        recorder.add(attempt.result, of: item)
        metrics?.note(attempt.outcome, of: item.delivery)
        note(attempt, of: item.delivery)
      }
      next = state.next(after: item)
    }
    metrics?.note(running: state.runningCount)
  }

  /// Logs failures, at most one in ten seconds for each kind.
  private func note(_ attempt: DeliverySender.Attempt, of delivery: Delivery) {
    guard attempt.outcome != .delivered else { return }
    log.warning(
      "an event was not delivered", reason: attempt.outcome.word,
      metadata: [
        "endpoint": "\(EndpointID(delivery.endpointID).text)", "event": "\(delivery.id)",
        "attempt": "\(delivery.attempt)",
        "detail": "\(attempt.result.error ?? attempt.result.statusCode.map { "status \($0)" } ?? "")",
      ])
  }
}
