import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct ConflictTests {
    /// PostgreSQL rolled back each attempt, so the response can say that nothing was done.
    @Test(.database, arguments: ["40001", "40P01"])
    func `a conflict that outlasts its retries gets 503 without an effect`(sqlState: String) async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let hold = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        try await withPool(on: url) { pool in
          try await pool.run(
            """
            create function conflict() returns trigger language plpgsql as
              'begin raise exception ''a conflict'' using errcode = ''\(sqlState)''; end';
            create trigger conflict before insert on holds execute function conflict();
            create trigger conflict before insert on orders execute function conflict();
            create trigger conflict before insert on payment_events execute function conflict();
            create trigger conflict before update on products execute function conflict()
            """)
          for answer in [
            try await api.reserve(1, of: product), try await api.order(hold.holdId),
            try await api.pay(hold.orderID, key: "key"),
            try await api.send("PATCH", "/api/admin/products/\(product)", #"{"name":"Hat"}"#),
          ] {
            #expect(answer.status == 503 && answer.problem == "database-unavailable", "\(answer)")
            #expect((answer.members["detail"] as? String)?.hasPrefix("Nothing was done") == true, "\(answer)")
            #expect(answer.headers["retry-after"] == "1")
          }
          try await pool.run("drop function conflict cascade")
        }
        #expect(try await api.product(product).availableStock == 4)
        #expect(try await api.order(hold.holdId).status == 201)
      }
    }
  }
}
