import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct PaymentTests {
    private static let orders = 300
    private static let deliveries = 20
    private static let stock = 1000

    /// Each payment event is delivered twenty times, to both servers. For every second order, half of the deliveries
    /// come before the order is placed. All other deliveries come while the order is placed.
    @Test(.database) func `each payment event has one effect despite many duplicates`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: Self.stock)
        try await withThrowingTaskGroup(of: Void.self) { group in
          for number in 0..<Self.orders {
            // Twenty orders at a time. The client then has enough connections for all deliveries of an event at once.
            if number >= 20 { try await group.next() }
            group.addTask { try await Self.orderAndPay(number, product, servers) }
          }
          try await group.waitForAll()
        }
        try await withPool(on: url) { database in
          func count(_ sql: String) async throws -> Int { Int(try await database.integer("select count(*) \(sql)")) }
          let events = try await count("from payment_events")
          let applied = try await count("from payment_events where verdict = 'applied'")
          let paid = try await count("from orders where status = 'paid'")
          let cancelled = try await count("from orders where status = 'cancelled'")
          #expect(events == Self.orders && applied == Self.orders)
          #expect(paid == Self.orders * 2 / 3 && cancelled == Self.orders / 3)
        }
        let kept = (0..<Self.orders).filter { !Self.isFailure($0) }.reduce(0) { $0 + Self.quantity($1) }
        for server in servers {
          #expect(try await server.api.product(product).availableStock == Self.stock - kept)
        }
        try await expectCleanAudit(url)
      }
    }

    private static func isFailure(_ number: Int) -> Bool { number % 3 == 0 }
    private static func quantity(_ number: Int) -> Int { 1 + number % 3 }

    private static func orderAndPay(_ number: Int, _ product: Int, _ servers: [ServerProcess]) async throws {
      let answer = try await servers[number % 2].api.reserve(quantity(number), of: product)
      try #require(answer.status == 201, "\(answer)")
      let hold = try answer.decode(APIClient.Hold.self)
      let status = isFailure(number) ? "failed" : "success"
      @Sendable func deliver(_ index: Int) async throws -> APIClient.Answer {
        try await servers[index % 2].api.pay(hold.orderID, key: "event-\(number)", status: status)
      }

      var answers: [APIClient.Answer] = []
      let early = number % 2 == 0 ? deliveries / 2 : 0
      if early > 0 {
        answers = try await atOnce(0..<early, deliver)
        for answer in answers { #expect(answer.status == 202, "\(answer)") }
      }
      async let placing = servers[(number + 1) % 2].api.order(hold.holdId)
      answers += try await atOnce(early..<deliveries, deliver)
      let placed = try await placing
      #expect(placed.status == 201, "\(placed)")

      let end = isFailure(number) ? "cancelled" : "paid"
      for answer in answers {
        let payment = try answer.decode(APIClient.Payment.self)
        switch answer.status {
        case 200: #expect(payment.verdict == "applied" && payment.orderStatus == end, "\(answer)")
        case 202: #expect(payment.verdict == "parked" && payment.orderStatus == nil, "\(answer)")
        default: Issue.record("\(answer)")
        }
      }
      // All responses but one are marked as replayed.
      #expect(answers.count { $0.headers["idempotent-replayed"] == nil } == 1)
      let order = try await servers[0].api.send("GET", "/api/orders/\(hold.orderID)").decode(APIClient.Order.self)
      #expect(order.status == end)
    }

    private static func atOnce(
      _ indices: Range<Int>, _ body: @escaping @Sendable (Int) async throws -> APIClient.Answer
    ) async throws -> [APIClient.Answer] {
      try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
        for index in indices { group.addTask { try await body(index) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
    }
  }
}
