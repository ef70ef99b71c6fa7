import Checkout
import Foundation
import StandardWebhooks
import TestSupport
import Testing

@testable import EventWebhooks

/// Deliverers with the real checkout and its database.
@Suite struct CheckoutDeliveryTests {
  private static let author = ChangeAuthor(name: "test", requestID: nil)

  /// Creates an endpoint that wants all events of orders.
  private static func endpoint(_ checkout: Checkout, _ receiver: WebhookReceiver) async throws -> EndpointID {
    let creation = try await checkout.createEndpoint(
      CreateEndpoint(url: receiver.url(), events: [try #require(EventPattern(text: "order.*"))]), by: author)
    guard case .created(let endpoint, _) = creation else { throw Unexpected("\(creation) instead of an endpoint") }
    return endpoint.id
  }

  /// The id, the type and the object of a request's event.
  private static func event(_ request: WebhookReceiver.Request) throws -> (id: String, type: String, order: String) {
    let body = try #require(try JSONSerialization.jsonObject(with: request.body) as? [String: Any])
    let data = try #require(body["data"] as? [String: Any])
    return (body["id"] as? String ?? "", body["type"] as? String ?? "", data["order_id"] as? String ?? "")
  }

  @Test(.checkout) func `an order's events reach its endpoint within a second`() async throws {
    let (checkout, _) = TestCheckout.current
    try await WebhookReceiver.with { receiver in
      let endpoint = try await Self.endpoint(checkout, receiver)
      try await EventDelivererTests.withDeliverer(checkout) { _ in
        let product = try await checkout.newProduct(stock: 5)
        let order = try await checkout.order(2, of: product)
        _ = try await checkout.pay(order.id, key: "pay-1")
        try await until("both events have come") { receiver.requests.count == 2 }
        let events = try receiver.requests.map(Self.event)
        #expect(Set(events.map(\.type)) == ["order.placed", "order.paid"])
        #expect(events.allSatisfy { $0.order == order.id.orderText })
        #expect(events.map(\.id) == receiver.requests.map { $0.headers["webhook-id"] })
        try await until("both are recorded") {
          try await checkout.deliveries(to: endpoint, status: .delivered).deliveries.count == 2
        }
      }
    }
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an endpoint that responds with 410 is disabled`() async throws {
    let (checkout, _) = TestCheckout.current
    try await WebhookReceiver.with(reply: { _ in .status(410) }) { receiver in
      let endpoint = try await Self.endpoint(checkout, receiver)
      try await EventDelivererTests.withDeliverer(checkout) { _ in
        let product = try await checkout.newProduct(stock: 5)
        _ = try await checkout.order(1, of: product)
        try await until("the endpoint is disabled") {
          try await checkout.endpoint(endpoint)?.disabledReason == .gone
        }
      }
    }
  }

  @Test(.checkout) func `a new secret and the one before sign an event`() async throws {
    let (checkout, _) = TestCheckout.current
    try await WebhookReceiver.with { receiver in
      let endpoint = try await Self.endpoint(checkout, receiver)
      let secret = try #require(try await checkout.rotateSecret(of: endpoint, by: Self.author))
      try await EventDelivererTests.withDeliverer(checkout) { _ in
        let product = try await checkout.newProduct(stock: 5)
        _ = try await checkout.order(1, of: product)
        try await until("the event has come") { receiver.requests.count == 1 }
      }
      let request = receiver.requests[0]
      let signatures = try #require(request.headers["webhook-signature"]).split(separator: " ")
      let timestamp = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
      let signing = try #require(WebhookSecret(secret.revealed()))
      #expect(signatures.count == 2)
      #expect(
        signatures[0]
          == signing.signature(id: request.headers["webhook-id"] ?? "", timestamp: timestamp, body: request.body))
    }
  }

  @Test(.checkout) func `two servers deliver each event once`() async throws {
    let (checkout, _) = TestCheckout.current
    try await WebhookReceiver.with { receiver in
      _ = try await Self.endpoint(checkout, receiver)
      try await withCheckout(on: TestDatabase.url) { other, _ in
        try await EventDelivererTests.withDeliverer(other) { _ in
          try await EventDelivererTests.withDeliverer(checkout) { _ in
            let product = try await checkout.newProduct(stock: 200)
            for _ in 0..<100 { _ = try await checkout.order(1, of: product) }
            try await until("all events have come") { receiver.requests.count >= 100 }
          }
        }
      }
      let ids = receiver.requests.compactMap { $0.headers["webhook-id"] }
      #expect(ids.count == 100 && Set(ids).count == 100)
    }
  }

  /// A claim whose server ends leaves its deliveries leased.
  @Test(.checkout) func `after a lease has ended, the event is sent by another server`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await WebhookReceiver.with { receiver in
      let endpoint = try await Self.endpoint(checkout, receiver)
      let product = try await checkout.newProduct(stock: 5)
      _ = try await checkout.order(1, of: product)
      let lost = UUID()
      let claimed = try await checkout.claimDeliveries(leaseID: lost, limit: 10).deliveries
      #expect(claimed.count == 1)
      try await EventDelivererTests.withDeliverer(checkout) { _ in
        try await Task.sleep(for: .milliseconds(200))
        #expect(receiver.requests.isEmpty)
        try await pool.run("update flashsale.deliveries set next_at = now()")
        try await until("the event has come") { receiver.requests.count == 1 }
      }
      // The first server goes on, too late.
      try await checkout.recordDeliveries(
        [DeliveryResult(of: claimed[0], statusCode: nil, error: "late")], leaseID: lost)
      let record = try #require(try await checkout.deliveries(to: endpoint).deliveries.first)
      #expect(record.status == .delivered && record.attempts == 1 && record.error == nil)
    }
  }

  /// Sixteen of these run at a time. More leases would keep the events of other endpoints waiting.
  @Test(.checkout) func `at most 64 deliveries of an endpoint are leased at once`() async throws {
    let (checkout, _) = TestCheckout.current
    try await WebhookReceiver.with { receiver in
      _ = try await Self.endpoint(checkout, receiver)
      let product = try await checkout.newProduct(stock: 200)
      for _ in 0..<100 { _ = try await checkout.order(1, of: product) }
      var counts: [Int] = []
      for _ in 0..<3 { counts.append(try await checkout.claimDeliveries(leaseID: UUID(), limit: 40).deliveries.count) }
      #expect(counts == [40, 24, 0])
    }
  }
}
