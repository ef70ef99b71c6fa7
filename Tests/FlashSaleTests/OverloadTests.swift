import TestSupport
import Testing
import Time

extension FlashSaleTests {
  @Suite struct OverloadTests {
    @Test(.database) func `requests above MAX_IN_FLIGHT are refused at once`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["MAX_IN_FLIGHT": "8", "QUEUE_TIMEOUT_MS": "60000"]) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 100)
        try await withPool(on: url) { pool in
          try await pool.holding("select from products for update") { commit in
            try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
              for _ in 0..<9 { group.addTask { try await api.reserve(1, of: product) } }
              // While the product is locked, only a refusal can arrive.
              let refused = try #require(await group.next())
              #expect(refused.status == 503 && refused.problem == "overloaded", "\(refused)")
              #expect(refused.headers["retry-after"] == "1")
              try await commit()
              for try await answer in group { #expect(answer.status == 201, "\(answer)") }
            }
          }
        }
        #expect(try await api.product(product).availableStock == 92)
        try await expectCleanAudit(url)
      }
    }

    /// The server creates the product, but has no place in the queue to read it.
    @Test(.database) func `a created product that cannot be read gives outcome-unknown`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["MAX_IN_FLIGHT": "1", "QUEUE_TIMEOUT_MS": "60000"]) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 100)
        try await withPool(on: url) { pool in
          try await pool.holding("select from products for update") { commit in
            async let underWay = api.reserve(1, of: product)
            try await pool.untilBlocked(1)
            let answer = try await api.send(
              "POST", "/api/admin/products", #"{"name":"Cap","price":500,"currency":"USD","total_stock":1}"#)
            #expect(answer.status == 503 && answer.problem == "outcome-unknown", "\(answer)")
            try await commit()
            #expect(try await underWay.status == 201)
          }
          #expect(try await pool.integer("select count(*) from products") == 2)
        }
      }
    }

    @Test(.database) func `a request that waits too long is refused while the database is blocked`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["QUEUE_TIMEOUT_MS": "300"]) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 100)
        try await withPool(on: url) { pool in
          try await pool.holding("select from products for update") { commit in
            async let underWay = api.reserve(1, of: product)
            try await pool.untilBlocked(1)
            let start = Moment.now
            try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
              for _ in 0..<20 { group.addTask { try await api.reserve(1, of: product) } }
              for try await answer in group {
                #expect(answer.status == 503 && answer.problem == "overloaded", "\(answer)")
                #expect(answer.headers["retry-after"] == "1")
              }
            }
            let duration = start.duration(to: .now)
            // The product is locked until all refusals have arrived.
            #expect(duration >= .milliseconds(300), "\(duration)")
            // The lock does not block reads.
            #expect(try await api.product(product).availableStock == 100)
            try await commit()
            #expect(try await underWay.status == 201)
          }
        }
        // The refused requests hold no units.
        #expect(try await api.product(product).availableStock == 99)
        try await expectCleanAudit(url)
      }
    }
  }
}
