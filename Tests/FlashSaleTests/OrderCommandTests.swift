import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// `flashsale order show` and `flashsale order refund`.
  @Suite struct OrderCommandTests {
    /// - Returns: the product and the id of a paid order of two units, with an amount of 1,000.
    private static func paidOrder(_ api: APIClient) async throws -> (product: Int, id: String) {
      let product = try await api.createProduct(stock: 5)
      let hold: APIClient.Hold = try await api.reserve(2, of: product).decode()
      try #require(try await api.order(hold.holdId).status == 201)
      try #require(try await api.pay(hold.orderID, key: "the payment").status == 200)
      return (product, hold.orderID)
    }

    @Test(.database) func `an order is refunded in parts, and shown`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let (product, id) = try await Self.paidOrder(api)
        func order(_ arguments: String...) async throws -> CommandResult {
          try await flashsale(["order"] + arguments, database: url)
        }

        // Without --key, two commands are two refunds. With a key, they are one.
        for key in [nil, nil, "k-1", "k-1"] as [String?] {
          let refunded = try await flashsale(
            ["order", "refund", id, "--amount", "100"] + (key.map { ["--key", $0] } ?? []), database: url)
          refunded.expectSuccess()
          #expect(refunded.output.first?.wholeMatch(of: /refund_[0-9a-f]{32} 100 USD/) != nil, "\(refunded)")
        }
        #expect(try await api.send("GET", "/api/orders/\(id)").members["refunded_amount"] as? Int == 300)
        try await order("refund", id, "--amount", "200", "--key", "k-1").expectFailure(saying: "another request")
        try await order("refund", id, "--amount", "701").expectFailure(saying: "only 700 of the order's amount")

        let rest = try await order("refund", id, "--restock", "--reason", "torn\nforged line")
        rest.expectSuccess()
        #expect(rest.output.first?.hasSuffix(" 700 USD") == true, "\(rest)")
        // A running server shows the units at once.
        #expect(try await api.product(product).availableStock == 5)

        let shown = try await order("show", id)
        shown.expectSuccess()
        #expect(shown.output.first?.split(separator: " ") == ["ORDER", Substring(id)], "\(shown)")
        #expect(shown.output.contains { $0.split(separator: " ") == ["status", "refunded"] }, "\(shown)")
        #expect(shown.output.contains { $0.split(separator: " ") == ["refunded", "1000", "USD"] }, "\(shown)")
        #expect(shown.output.contains { $0.split(separator: " ") == ["restocked", "yes"] }, "\(shown)")
        #expect(shown.output.count { $0.contains("the payment") && $0.contains("applied") } == 1, "\(shown)")
        #expect(shown.output.count { $0.contains("refund_") } == 4, "\(shown)")
        #expect(shown.output.last?.hasSuffix(#"yes      operator  torn\nforged line"#) == true, "\(shown)")

        let json = try await order("show", id, "--json")
        json.expectSuccess()
        let printed = try JSONSerialization.jsonObject(with: Data(json.output.joined().utf8)) as? NSDictionary
        let answer = try await api.send("GET", "/api/admin/orders/\(id)").members
        #expect(printed == NSDictionary(dictionary: answer), "\(json)")

        let log = try await api.send("GET", "/api/admin/audit-log").members
        let changes = try #require(log["changes"] as? [[String: Any]])
        #expect(changes.first?["action"] as? String == "order.refunded")
        #expect(changes.first?["who"] as? String == "command line")
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `an order that is not paid or does not exist is not refunded`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let hold: APIClient.Hold = try await api.reserve(1, of: api.createProduct(stock: 5)).decode()
        _ = try await api.order(hold.holdId)
        try await flashsale(["order", "refund", hold.orderID], database: url)
          .expectFailure(saying: "the order is pending_payment")
        for id in ["order_00000001000080008000000000000001", hold.holdId, "nonsense"] {
          for command in ["show", "refund"] {
            try await flashsale(["order", command, id], database: url).expectFailure(saying: "there is no order \(id)")
          }
        }
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `a server's role may refund and show an order`() async throws {
      let url = TestDatabases.serverURL(TestDatabase.url)
      try await withServers(1, on: TestDatabase.url) { servers in
        let (_, id) = try await Self.paidOrder(servers[0].api)
        try await flashsale(["order", "refund", id], database: url).expectSuccess()
        try await flashsale(["order", "show", id], database: url).expectSuccess()
      }
    }

    @Test(arguments: [
      ["order", "refund"], ["order", "show"], ["order", "refund", "order_1", "--amount", "0"],
      ["order", "refund", "order_1", "--amount", "many"], ["order", "refund", "order_1", "--reason", ""],
      ["order", "refund", "order_1", "--reason", String(repeating: "x", count: 256)],
      ["order", "refund", "order_1", "--key", "two words"], ["order", "refund", "order_1", "--key", ""],
    ])
    func `wrong usage ends with exit code 64`(_ arguments: [String]) async throws {
      try await flashsale(arguments, database: "postgresql://nobody@127.0.0.1:1/nothing").expectUsageError()
    }
  }
}
