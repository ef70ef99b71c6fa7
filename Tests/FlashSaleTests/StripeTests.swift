import API
import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// Stripe's events over HTTP. `make payments` sends more of them, and checks our signatures with Stripe's library.
  @Suite struct StripeTests {
    private static let path = "/api/payments/webhook/stripe"
    private static let secretText = "whsec_0123456789abcdefghijklmnop"
    private static let secret = StripeSecret(secretText)!
    private static let settings = ["STRIPE_WEBHOOK_SECRETS": "whsec_the-secret-before-it,\(secretText)"]

    private static func event(_ type: String, _ object: String, order: String?, more: String = "") -> String {
      let metadata = order.map { #","metadata":{"order_id":"\#($0)"}"# } ?? #","metadata":{}"#
      return #"{"id":"evt_1","type":"\#(type)","data":{"object":{\#(object)\#(metadata)}}\#(more)}"#
    }

    private static func send(
      _ body: String, to api: APIClient, by signer: StripeSecret = secret, sentAgo age: Int64 = 0,
      headers: [String: String] = [:]
    ) async throws -> APIClient.Answer {
      let signature = signer.header(timestamp: Int64(Date().timeIntervalSince1970) - age, body: Array(body.utf8))
      return try await api.send(
        "POST", path, body, headers: ["stripe-signature": signature].merging(headers) { $1 })
    }

    private static func intent(_ number: Int, _ order: String?) -> String {
      event(
        "payment_intent.succeeded", #""id":"pi_\#(number)","amount_received":500,"currency":"usd""#, order: order)
    }

    private static func session(_ number: Int, _ order: String) -> String {
      let object = """
        "id":"cs_\(number)","payment_intent":"pi_\(number)","payment_status":"paid","amount_total":500,"currency":"usd"
        """
      return event("checkout.session.completed", object, order: order)
    }

    /// Half of the payments come before their order exists.
    @Test(.database) func `both events of a payment are one payment, however often they come`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url, settings: Self.settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 100)
        try await withThrowingDiscardingTaskGroup { group in
          for number in 0..<40 {
            group.addTask {
              let hold = try await servers[0].api.reserve(1, of: product).decode(APIClient.Hold.self)
              if number % 2 == 0 { #expect(try await servers[0].api.order(hold.holdId).status == 201) }
              let answers: [APIClient.Answer] = try await withThrowingTaskGroup(of: APIClient.Answer.self) {
                deliveries in
                for delivery in 0..<10 {
                  let body =
                    delivery % 2 == 0 ? Self.intent(number, hold.orderID) : Self.session(number, hold.orderID)
                  deliveries.addTask { try await Self.send(body, to: servers[delivery / 5].api) }
                }
                return try await deliveries.reduce(into: []) { $0.append($1) }
              }
              #expect(answers.allSatisfy { $0.status == (number % 2 == 0 ? 200 : 202) }, "\(answers)")
              #expect(answers.count { $0.headers["idempotent-replayed"] == nil } == 1)
              if number % 2 == 1 { #expect(try await servers[1].api.order(hold.holdId).status == 201) }
            }
          }
        }
        try await withPool(on: url) { database in
          let events = try await database.integer("select count(*) from payment_events where verdict = 'applied'")
          #expect(events == 40)
          #expect(try await database.integer("select count(*) from payment_events") == 40)
          #expect(try await database.integer("select count(*) from orders where status = 'paid'") == 40)
        }
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `refunds and disputes without an order id find the order of their payment`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let hold = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(hold.holdId).status == 201)
        let refund = #""id":"re_1","payment_intent":"pi_1","amount":200,"currency":"usd","status":"succeeded""#
        func charge(_ total: Int) -> String {
          #""id":"ch_1","payment_intent":"pi_1","amount_refunded":\#(total),"currency":"usd""#
        }
        let early = try await Self.send(Self.event("refund.updated", refund, order: nil), to: api)
        #expect(early.status == 200 && early.members["verdict"] as? String == "unrelated", "\(early)")
        #expect(early.members.count == 1)

        #expect(try await Self.send(Self.session(1, hold.orderID), to: api).members["verdict"] as? String == "applied")
        for (type, object, verdict) in [
          ("refund.created", refund, "applied"), ("refund.updated", refund, "applied"),
          ("charge.refunded", charge(200), "ignored"), ("charge.refunded", charge(500), "applied"),
          ("charge.dispute.created", #""id":"dp_1","payment_intent":"pi_1","status":"needs_response""#, "applied"),
        ] {
          let answer = try await Self.send(Self.event(type, object, order: nil), to: api)
          #expect(answer.members["verdict"] as? String == verdict, "\(type): \(answer)")
          #expect(answer.members["order_id"] as? String == hold.orderID)
        }
        let order = try await api.send("GET", "/api/orders/\(hold.orderID)").decode(APIClient.Order.self)
        #expect(order.status == "refunded")
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `an event that is unrelated, unsigned or malformed changes nothing`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let hold = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(hold.holdId).status == 201)
        let paid = Self.intent(1, hold.orderID)
        for body in [
          Self.intent(1, nil), Self.intent(1, "order_1"), Self.event("customer.created", #""id":"cus_1""#, order: nil),
          Self.event("charge.dispute.closed", #""id":"dp_1","payment_intent":"pi_9","status":"won""#, order: nil),
        ] {
          let answer = try await Self.send(body, to: api)
          #expect(answer.status == 200 && String(buffer: answer.body) == #"{"verdict":"unrelated"}"#, "\(answer)")
        }
        for (body, problem) in [("{}", "malformed-request"), ("[]", "malformed-request"), ("", "malformed-request")] {
          #expect(try await Self.send(body, to: api).problem == problem)
        }
        let stranger = try #require(StripeSecret("whsec_ponmlkjihgfedcba9876543210"))
        for (answer, reason) in [
          (try await api.send("POST", Self.path, paid), "Stripe-Signature is missing"),
          (try await Self.send(paid, to: api, by: stranger), "matches the body"),
          (try await Self.send(paid, to: api, sentAgo: 1000), "s behind this server's clock"),
          (try await Self.send(paid, to: api, sentAgo: -1000), "s ahead of this server's clock"),
        ] {
          #expect(answer.problem == "invalid-signature" && answer.status == 401, "\(answer)")
          #expect((answer.members["detail"] as? String)?.contains(reason) == true, "\(answer)")
        }
        let text = try await Self.send(paid, to: api, headers: ["content-type": "text/html"])
        #expect(text.problem == "unsupported-media-type")
        try await withPool(on: url) {
          let count = try await $0.integer("select count(*) from payment_events")
          #expect(count == 0)
        }
        // The first of two secrets signs, too.
        let before = try #require(StripeSecret("whsec_the-secret-before-it"))
        #expect(try await Self.send(paid, to: api, by: before).members["verdict"] as? String == "applied")
        try await servers[0].end(with: .terminate)
        let lines = servers[0].output.split(separator: "\n").filter { $0.contains("a payment event was refused") }
        #expect(lines.count == 3 && lines.allSatisfy { $0.contains("reason=stripe_") }, "\(lines)")
      }
    }

    @Test(.database) func `an event may have 256 KiB, and no other request`() async throws {
      try await withServers(1, on: TestDatabase.url, settings: Self.settings) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let hold = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        func event(bytes: Int) -> String {
          let bare = Self.event("payment_intent.succeeded", Self.money, order: hold.orderID, more: #","x":"""#)
          let rest = String(repeating: "x", count: bytes - bare.utf8.count)
          return Self.event("payment_intent.succeeded", Self.money, order: hold.orderID, more: #","x":"\#(rest)""#)
        }
        #expect(try await Self.send(event(bytes: 256 * 1024), to: api).status == 202)
        #expect(try await Self.send(event(bytes: 256 * 1024 + 1), to: api).problem == "payload-too-large")
        let plain = try await api.send("POST", "/api/payments/webhook", event(bytes: 16 * 1024 + 1))
        #expect(plain.problem == "payload-too-large")
      }
    }

    private static let money = #""id":"pi_1","amount_received":500,"currency":"usd""#

    @Test(.database) func `without the setting the server has no such route`() async throws {
      try await withServers(1, on: TestDatabase.url) { servers in
        let response = try await Self.send(Self.intent(1, nil), to: servers[0].api)
        #expect(response.problem == "not-found")
      }
    }

    // MARK: The command

    @Test(.database) func `pay plays Stripe`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        func pay(_ order: String, _ options: String..., settings: [String: String] = Self.settings) async throws
          -> CommandResult
        {
          try await flashsale(["pay", order, "--as", "stripe", "--url", api.url] + options, settings: settings)
        }
        let bought = try await api.reserve(2, of: product).decode(APIClient.Hold.self)
        try await pay(bought.orderID).expectFailure(saying: "--amount and --currency")
        #expect(try await api.order(bought.holdId).status == 201)
        // The amount is the order's: 2 units of 500.
        let paid = try await pay(bought.orderID, "--times", "5")
        #expect(paid.status == .exited(0) && paid.output.count == 10, "\(paid)")
        #expect(paid.output.allSatisfy { $0.hasPrefix("200 ") && $0.contains("applied") }, "\(paid)")
        let second = try await pay(bought.orderID, "--key", "pi_other", "--amount", "1000", "--currency", "USD")
        #expect(second.output.count { $0.contains("refund_due") } == 2, "\(second)")
        let part = try await pay(bought.orderID, "--status", "refunded", "--amount", "400")
        #expect(part.output.count == 1 && part.output[0].contains("applied"), "\(part)")
        let refunded = try await pay(bought.orderID, "--status", "refunded", "--times", "3")
        #expect(refunded.output.count { $0.contains(#""refunded""#) } == 3, "\(refunded)")

        let failed = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(failed.holdId).status == 201)
        let failure = try await pay(failed.orderID, "--status", "failed")
        #expect(failure.output.count == 1 && failure.output[0].contains(#""cancelled""#), "\(failure)")

        let early = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        let parked = try await pay(early.orderID, "--amount", "500", "--currency", "usd")
        #expect(parked.output.count { $0.hasPrefix("202 ") } == 2, "\(parked)")
        #expect(try await api.order(early.holdId).decode(APIClient.Order.self).status == "paid")

        try await pay(failed.orderID, settings: [:]).expectFailure(saying: "STRIPE_WEBHOOK_SECRETS is not set")
        try await pay(failed.orderID, settings: ["STRIPE_WEBHOOK_SECRETS": "whsec_short"])
          .expectFailure(saying: "STRIPE_WEBHOOK_SECRETS must be")
        try await pay(failed.orderID, "--amount", "-1").expectUsageError()
        try await flashsale(["pay", failed.orderID, "--status", "refunded"]).expectUsageError()
        try await expectCleanAudit(url)
      }
    }

    /// A shop takes both as they are in the documents.
    @Test func `the documents show the Python program that make payments runs`() throws {
      let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
      let program = try String(contentsOf: root.appending(path: "Tests/Payments/plain_webhook.py"), encoding: .utf8)
      let document = try String(contentsOf: root.appending(path: "docs/payments.md"), encoding: .utf8)
      #expect(document.contains("```python\n\(program)```"))
      #expect(program.split(separator: "\n").count <= 20)
    }
  }
}
