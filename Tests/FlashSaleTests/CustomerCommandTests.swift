import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// `flashsale customer`.
  @Suite struct CustomerCommandTests {
    @Test(.database) func `a customer is exported as JSON lines, then erased`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let body = #"{"product_id":\#(product),"quantity":1,"customer_id":"lovelace","metadata":{"note":"a\nb"}}"#
        let hold: APIClient.Hold = try await api.send("POST", "/api/holds", body).decode()
        #expect(try await api.order(hold.holdId).status == 201)
        #expect(try await api.pay(hold.orderID, key: "p").status == 200)

        let export = try await flashsale(["customer", "export", "lovelace"], database: url)
        export.expectSuccess()
        #expect(try Self.types(export) == ["hold", "order", "payment_event"], "\(export)")

        let erased = try await flashsale(["customer", "erase", "lovelace"], database: url)
        erased.expectSuccess()
        let pseudonym = try #require(erased.output.first?.firstMatch(of: /erased_[0-9a-f]{32}/)).output
        #expect(erased.output.last?.hasPrefix("Replaced in 1 holds, 0 idempotency keys") == true, "\(erased)")
        #expect(try await flashsale(["customer", "export", "lovelace"], database: url).output == [])
        let rest = try await flashsale(["customer", "export", String(pseudonym)], database: url)
        #expect(try Self.types(rest) == ["hold", "order", "payment_event"], "\(rest)")
        #expect(rest.output.allSatisfy { !$0.contains("lovelace") && !$0.contains("note") }, "\(rest)")

        let log = try await api.send("GET", "/api/admin/audit-log")
        let changes = try #require(log.members["changes"] as? [[String: Any]])
        #expect(changes.first?["action"] as? String == "customer.erased")
        #expect(changes.first?["who"] as? String == "command line")
        #expect(!"\(log)".contains("lovelace"))
        let order = try await api.send("GET", "/api/orders/\(hold.orderID)")
        #expect(order.members["status"] as? String == "paid")
        #expect((order.members["metadata"] as? [String: Any])?.isEmpty == true)
        try await expectCleanAudit(url)
      }
    }

    /// The `type` of each line.
    private static func types(_ result: CommandResult) throws -> [String] {
      struct Line: Decodable { let type: String }
      return try result.output.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)).type }
    }

    @Test(.database, arguments: ["erase", "export"])
    func `a server's role may not erase or export`(command: String) async throws {
      let url = TestDatabases.serverURL(TestDatabase.url)
      _ = try await flashsale(["product", "create", "--name", "Cap", "--price", "1", "--stock", "1"], database: url)
      try await flashsale(["customer", command, "lovelace"], database: url)
        .expectFailure(saying: "only the owner of the tables may do this")
    }

    @Test(
      .database, arguments: [["erase"], ["export"], ["erase", ""], ["export", String(repeating: "x", count: 256)]])
    func `an id that no customer has is a usage error`(arguments: [String]) async throws {
      try await flashsale(["customer"] + arguments, database: TestDatabase.url).expectUsageError()
    }
  }
}
