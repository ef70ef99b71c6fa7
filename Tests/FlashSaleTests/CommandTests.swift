import Checkout
import Foundation
import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct CommandTests {
    private static let secret = "whsec_" + Data("a secret of the provider's".utf8).base64EncodedString()
    private static let nextSecret = "whsec_" + Data("another one, to rotate to".utf8).base64EncodedString()

    // MARK: pay

    @Test(.database) func `pay signs the payment event and delivers it as often as requested`() async throws {
      let url = TestDatabase.url
      let settings = ["WEBHOOK_SECRETS": "\(Self.nextSecret),\(Self.secret)"]
      try await withServers(1, on: url, settings: settings, arguments: []) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        func hold() async throws -> APIClient.Hold { try await api.reserve(1, of: product).decode() }
        func pay(_ hold: APIClient.Hold, _ options: [String], secrets: String? = Self.secret) async throws
          -> CommandResult
        {
          try await flashsale(
            ["pay", hold.orderID, "--url", api.url] + options,
            settings: secrets.map { ["WEBHOOK_SECRETS": $0] } ?? [:])
        }

        let bought = try await hold()
        let early = try await pay(bought, ["--key", "k1"])
        #expect(early.status == .exited(0) && early.output.count == 1, "\(early)")
        #expect(early.output.first?.hasPrefix("202 ") == true && early.output.first?.contains("parked") == true)
        #expect(try await api.order(bought.holdId).decode(APIClient.Order.self).status == "paid")
        let again = try await pay(bought, ["--key", "k1", "--times", "20"], secrets: Self.nextSecret)
        #expect(again.status == .exited(0) && again.output.count == 20, "\(again)")
        #expect(again.output.allSatisfy { $0.hasPrefix("200 ") && $0.contains("applied") }, "\(again)")
        let second = try await pay(bought, ["--key", String(repeating: "k", count: 255)])
        #expect(second.output.first?.contains("refund_due") == true, "\(second)")

        let failed = try await hold()
        _ = try await api.order(failed.holdId)
        let failure = try await pay(failed, ["--status", "failed", "--times", "3", "--delay", "0.1"])
        #expect(failure.status == .exited(0), "\(failure)")
        #expect(failure.output.count { $0.contains(#""cancelled""#) } == 3, "\(failure)")

        // None of these deliveries reaches the order.
        for secrets in ["whsec_bm9ib2R5J3Mgc2VjcmV0IGF0IGFsbA==", nil] {
          let refused = try await pay(failed, ["--times", "2"], secrets: secrets)
          refused.expectFailure(saying: "2 of 2 deliveries were refused")
          #expect(refused.output.allSatisfy { $0.hasPrefix("401 ") }, "\(refused)")
        }
        try await pay(failed, [], secrets: "nonsense").expectFailure(saying: "WEBHOOK_SECRETS")
        try await pay(failed, ["--times", "0"]).expectUsageError()
        try await pay(failed, ["--delay", "inf"]).expectUsageError()
        try await pay(failed, ["--status", "maybe"]).expectUsageError()
        #expect(try await api.product(product).availableStock == 4)
        try await expectCleanAudit(url)
      }
    }

    @Test func `pay reports in one line that no server listens`() async throws {
      try await flashsale(["pay", "order_1", "--url", "http://127.0.0.1:1"]).expectFailure(saying: "cannot reach")
    }

    /// Another party may own the new address, and the payment event is signed.
    @Test func `pay does not follow a redirect`() async throws {
      try await RedirectingServer.withServer { server in
        let result = try await flashsale(
          ["pay", "order_1", "--url", server.url], settings: ["WEBHOOK_SECRETS": Self.secret])
        result.expectFailure(saying: "1 of 1 deliveries were refused")
        #expect(result.output.first?.hasPrefix("307 ") == true, "\(result)")
        #expect(server.followerCount == 0)
      }
    }

    // MARK: Terminals

    /// A terminal obeys the control characters in a name, and other people choose the names.
    @Test(.database) func `a product name cannot forge or overwrite a line of the table`() async throws {
      let url = TestDatabase.url
      let names = [
        "A\n2   Fake  1 USD  9  9", "B\u{1b}[2J\u{9b}2J", "C\u{202e}drawkcab", "D\u{2028}E\r\tF", "👩‍👩‍👧 e\u{301}",
      ]
      for name in names {
        try await flashsale(["product", "create", "--name", name, "--price", "1", "--stock", "9"], database: url)
          .expectSuccess()
      }
      let list = try await flashsale(["product", "list"], database: url)
      let escaped = [
        #"A\n2   Fake  1 USD  9  9"#, #"B\u{1B}[2J\u{9B}2J"#, #"C\u{202E}drawkcab"#, #"D\u{2028}E\r\tF"#,
        "👩‍👩‍👧 e\u{301}",
      ]
      let width = try #require(escaped.map(\.count).max())
      let rows = escaped.enumerated().map { index, name in
        "\(index + 1)   " + name + String(repeating: " ", count: width - name.count) + "  1 USD  9      9"
      }
      let header = "ID  NAME" + String(repeating: " ", count: width - 4) + "  PRICE  TOTAL  AVAILABLE"
      #expect(list.output == [header] + rows, "\(list)")
    }

    @Test func `an error message cannot forge a line`() async throws {
      let result = try await flashsale(
        ["serve", "--unsigned-webhooks"], database: "postgresql://", settings: ["PORT": "1\nError: 2\u{1b}[2J"])
      result.expectFailure(saying: #"'1\nError: 2\u{1B}[2J'"#)
    }

    // MARK: version

    @Test func `the version option prints one version number`() async throws {
      let version = try await flashsale(["--version"])
      version.expectSuccess()
      let text = try #require(version.output.first)
      #expect(version.output.count == 1 && text.wholeMatch(of: /\d+\.\d+\.\d+/) != nil, "\(version)")
    }

    // MARK: audit

    @Test(.database) func `audit reports broken invariants as text and as JSON`() async throws {
      let url = TestDatabase.url
      try await flashsale(["product", "create", "--name", "Cap", "--price", "1", "--stock", "5"], database: url)
        .expectSuccess()
      let clean = try await flashsale(["audit", "--json"], database: url)
      clean.expectSuccess()
      #expect(try Self.audit(clean).ok)
      #expect(try Self.audit(clean).checks.count > 5)

      try await withPool(on: url) { try await $0.run("update products set available_stock = 4") }
      let broken = try await flashsale(["audit", "--json"], database: url)
      broken.expectFailure(saying: "stock_is_conserved")
      #expect(try Self.audit(broken).ok == false)
      #expect(try Self.audit(broken).checks.filter { !$0.ok }.map(\.name) == ["stock_is_conserved"])
      let table = try await flashsale(["audit"], database: url)
      table.expectFailure(saying: "stock_is_conserved")
      #expect(table.output.contains { $0.hasPrefix("1 broken") && $0.contains("stock_is_conserved") }, "\(table)")
    }

    private struct AuditReport: Decodable {
      struct Check: Decodable {
        let name: String
        let ok: Bool
      }
      let ok: Bool
      let checks: [Check]
    }

    private static func audit(_ result: CommandResult) throws -> AuditReport {
      try JSONDecoder().decode(AuditReport.self, from: Data(result.output.joined(separator: "\n").utf8))
    }

    // MARK: product

    @Test(.database) func `products are created, listed and restocked`() async throws {
      let url = TestDatabase.url
      func product(_ arguments: String...) async throws -> CommandResult {
        try await flashsale(["product"] + arguments, database: url)
      }
      let created = try await product(
        "create", "--name", "Grüner Hut 🎩", "--price", "1999", "--currency", "EUR", "--stock", "10")
      #expect(created.status == .exited(0) && created.output == ["1"], "\(created)")
      #expect(try await product("create", "--name", "Cap", "--price", "5", "--stock", "1").output == ["2"])

      try await withServers(1, on: url) { servers in
        #expect(try await servers[0].api.reserve(4, of: 1).status == 201)
        try await product("restock", "1", "5").expectSuccess()
        try await product("restock", "1", "-11").expectSuccess()
        try await product("restock", "1", "-1").expectFailure(saying: "has 0 units available")
        try await product("restock", "3", "1").expectFailure(saying: "no product 3")
        let left = try await servers[0].api.product(1)
        #expect(left.totalStock == 4 && left.availableStock == 0)
        // A running server shows the change at once.
        try await product("restock", "1", "2147483643").expectSuccess()
        #expect(try await servers[0].api.product(1).availableStock == 2_147_483_643)
        try await product("restock", "1", "1").expectFailure(saying: "")
      }

      let list = try await product("list")
      list.expectSuccess()
      #expect(list.output.count == 3)
      #expect(list.output[0].split(separator: " ") == ["ID", "NAME", "PRICE", "TOTAL", "AVAILABLE"])
      #expect(
        list.output[1].split(separator: " ")
          == ["1", "Grüner", "Hut", "🎩", "1999", "EUR", "2147483647", "2147483643"])
      try await expectCleanAudit(url)
    }

    @Test(.database) func `a product can be created with a sale window and limits`() async throws {
      let url = TestDatabase.url
      let created = try await flashsale(
        [
          "product", "create", "--name", "Cap", "--price", "5", "--stock", "9",
          "--starts-at", "2026-11-27T10:00:00+01:00", "--ends-at", "2126-11-27T09:00:00Z",
          "--max-quantity-per-hold", "2", "--max-per-customer", "3",
        ], database: url)
      created.expectSuccess()
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.send("GET", "/api/products/1")
        let members = try #require(
          try JSONSerialization.jsonObject(with: Data(buffer: product.body)) as? [String: Any])
        #expect(members["starts_at"] as? String == "2026-11-27T09:00:00.000Z")
        #expect(members["ends_at"] as? String == "2126-11-27T09:00:00.000Z")
        #expect(members["max_quantity_per_hold"] as? Int == 2 && members["max_per_customer"] as? Int == 3)
      }
    }

    @Test(arguments: [
      ["product", "create", "--name", "Cap", "--price", "1", "--stock", "1", "--starts-at", "tomorrow"],
      [
        "product", "create", "--name", "Cap", "--price", "1", "--stock", "1", "--starts-at", "2026-11-27T09:00:00Z",
        "--ends-at", "2026-11-27T09:00:00Z",
      ],
      ["product", "create", "--name", "Cap", "--price", "1", "--stock", "1", "--max-quantity-per-hold", "0"],
      ["product", "create", "--name", "Cap", "--price", "1", "--stock", "1", "--max-per-customer", "0"],
      ["product", "create", "--name", "", "--price", "1", "--stock", "1"],
      ["product", "create", "--name", "Cap", "--price", "0", "--stock", "1"],
      ["product", "create", "--name", "Cap", "--price", "1", "--stock", "-1"],
      ["product", "create", "--name", "Cap", "--price", "1", "--stock", "1", "--currency", "eur"],
      ["product", "restock", "1"],
      ["product", "restock", "1", "0"],
      ["product", "restock", "1", "many"],
      ["product", "restock", "1", "--sideways"],
      ["serve", "--sideways"],
      ["serve", "--seed"],
      ["migrate", "--status", "--seed"],
      ["pay"],
      ["dance"],
    ])
    func `wrong usage ends with exit code 64`(_ arguments: [String]) async throws {
      try await flashsale(arguments, database: "postgresql://nobody@127.0.0.1:1/nothing").expectUsageError()
    }
  }
}
