import Checkout
import DequeModule
import FoundationEssentials
import Time

/// Decides which of the leased deliveries runs next. A value, so that tests need no sockets.
struct DeliveryQueue: Sendable {
  struct Limits: Sendable {
    /// The most deliveries that run at once. Each has a connection.
    var running = 128
    /// The most that run at once for one endpoint, so that a slow endpoint does not take all places.
    var runningPerEndpoint = 16
    /// The most deliveries that are leased and have no result. It bounds the memory: a delivery has a few kilobytes.
    var held = 512
    /// A delivery that waited longer than this after its claim is left to another claim. It could not end within the
    /// lease of 30 s, and then another server would send it at the same time.
    var wait: Duration = .seconds(10)
  }

  struct Item: Sendable {
    let delivery: Delivery
    let leaseID: UUID
    /// Before the claim was sent, so the lease ends at least 30 s later.
    let claimedAt: Moment
  }

  private let limits: Limits
  private var waiting: Deque<Item> = []
  /// The number of running deliveries of each endpoint.
  private var running: [UUID: Int] = [:]
  private(set) var runningCount = 0

  init(limits: Limits) {
    self.limits = limits
  }

  /// The number of deliveries that may be claimed.
  var free: Int { max(0, limits.held - waiting.count - runningCount) }

  mutating func add(_ items: some Sequence<Item>) {
    waiting.append(contentsOf: items)
  }

  /// Takes the oldest delivery that may run now, and counts it as running.
  mutating func next(now: Moment = .now) -> Item? {
    let tooOld = now - limits.wait
    waiting.removeAll { $0.claimedAt <= tooOld }
    guard runningCount < limits.running,
      let index = waiting.firstIndex(where: { running[$0.delivery.endpointID, default: 0] < limits.runningPerEndpoint })
    else { return nil }
    let item = waiting.remove(at: index)
    running[item.delivery.endpointID, default: 0] += 1
    runningCount += 1
    return item
  }

  mutating func end(_ item: Item) {
    runningCount -= 1
    let left = running[item.delivery.endpointID, default: 1] - 1
    running[item.delivery.endpointID] = left == 0 ? nil : left
  }

  /// Forgets the deliveries that have not started. Their leases end, and another server sends them.
  mutating func removeWaiting() {
    waiting.removeAll()
  }
}
