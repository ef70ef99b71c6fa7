import TestSupport
import Testing

extension FlashSaleTests {
  /// `flashsale order list` and `flashsale hold list`.
  @Suite struct ListCommandTests {
    @Test(.database) func `orders and holds are listed and exported`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        var ids: [String] = []
        for customer in ["ada", "=bob"] {
          let body = #"{"product_id":\#(product),"quantity":1,"customer_id":"\#(customer)"}"#
          let hold: APIClient.Hold = try await api.send("POST", "/api/holds", body).decode()
          ids.append(hold.holdId)
        }
        try #require(try await api.order(ids[0]).status == 201)

        let table = try await flashsale(["order", "list", "--product-id", "\(product)"], database: url)
        table.expectSuccess()
        #expect(table.output.count == 2 && table.output[0].hasPrefix("ORDER"), "\(table)")
        #expect(table.output[1].contains("500 USD  pending_payment  ada"), "\(table)")

        let holds = try await flashsale(["hold", "list", "--status", "active", "--format", "ndjson"], database: url)
        holds.expectSuccess()
        #expect(holds.output.count == 1 && holds.output[0].contains(#""hold_id":"\#(ids[1])""#), "\(holds)")
        let csv = try await flashsale(["hold", "list", "--customer-id", "=bob", "--format", "csv"], database: url)
        csv.expectSuccess()
        #expect(csv.output.joined().hasSuffix(",'=bob\r\n"), "\(csv)")
        let none = try await flashsale(
          ["order", "list", "--created-after", "2999-01-01T00:00:00Z", "--format", "ndjson"], database: url)
        none.expectSuccess()
        #expect(none.output == [])
        try await flashsale(["order", "list", "--status", "active"], database: url).expectUsageError()
        try await flashsale(["hold", "list", "--format", "xls"], database: url).expectUsageError()
      }
    }
  }
}
