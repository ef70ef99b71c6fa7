import Checkout
import Foundation
import Testing
import Time

@testable import EventWebhooks

@Suite struct DeliveryQueueTests {
  private static let (one, other) = (UUID(), UUID())
  private static let now = Moment.now

  private static func queue() -> DeliveryQueue {
    DeliveryQueue(limits: DeliveryQueue.Limits(running: 4, runningPerEndpoint: 2, held: 10, wait: .seconds(10)))
  }

  private static func items(_ count: Int, for endpoint: UUID, claimedAt: Moment = now) -> [DeliveryQueue.Item] {
    (0..<count).map { _ in .test(.test(to: "https://shop.example/", endpoint: endpoint), claimedAt: claimedAt) }
  }

  /// Takes all deliveries that may run.
  private static func start(_ queue: inout DeliveryQueue) -> [DeliveryQueue.Item] {
    var started: [DeliveryQueue.Item] = []
    while let item = queue.next(now: now) { started.append(item) }
    return started
  }

  @Test func `an endpoint with many deliveries leaves places for others`() {
    var queue = Self.queue()
    queue.add(Self.items(5, for: Self.one))
    queue.add(Self.items(5, for: Self.other))
    let started = Self.start(&queue)
    #expect(started.map(\.delivery.endpointID) == [Self.one, Self.one, Self.other, Self.other])
    #expect(queue.free == 0 && queue.runningCount == 4)
    queue.end(started[3])
    #expect(queue.free == 1)
    #expect(Self.start(&queue).map(\.delivery.endpointID) == [Self.other])
  }

  @Test func `at most so many deliveries run at once`() {
    var queue = Self.queue()
    for _ in 0..<6 { queue.add(Self.items(1, for: UUID())) }
    let started = Self.start(&queue)
    #expect(started.count == 4)
    queue.end(started[0])
    #expect(Self.start(&queue).count == 1)
  }

  @Test func `the oldest delivery of an endpoint comes first`() {
    var queue = Self.queue()
    let items = Self.items(4, for: Self.one)
    queue.add(items)
    var order: [UUID] = []
    while let item = queue.next(now: Self.now) {
      order.append(item.delivery.eventID)
      queue.end(item)
    }
    #expect(order == items.map(\.delivery.eventID))
  }

  @Test func `a delivery that waited too long is left to another claim`() {
    var queue = Self.queue()
    queue.add(Self.items(1, for: Self.one, claimedAt: Self.now - .seconds(10)))
    queue.add(Self.items(1, for: Self.other, claimedAt: Self.now - .seconds(9)))
    #expect(Self.start(&queue).map(\.delivery.endpointID) == [Self.other])
    #expect(queue.free == 9)
  }

  @Test func `after the server has stopped, nothing waits`() {
    var queue = Self.queue()
    queue.add(Self.items(5, for: Self.one))
    let started = Self.start(&queue)
    queue.removeWaiting()
    for item in started { queue.end(item) }
    #expect(Self.start(&queue).isEmpty && queue.free == 10)
  }
}
