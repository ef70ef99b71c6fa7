import Checkout
import Foundation
import NIOCore
import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  /// `GET /api/admin/orders` and `GET /api/admin/holds` over HTTP.
  @Suite struct ListCallTests {
    /// Adds paid orders with their holds, past the servers. Their customer is `ada`.
    private static func addOrders(_ count: Int, of product: Int, on url: String) async throws {
      try await withPool(on: url) { pool in
        try await pool.run(
          """
          set statement_timeout = 0;
          with new as materialized (
              select n, (left(first_hold_id(\(product), 1795000000 + n)::text, 21) || right(d.digits, 2) || '-'
                         || left(d.digits, 12))::uuid as id
              from generate_series(1, \(count)) n cross join lateral (select md5(n::text) as digits) d
          ), new_holds as (
              insert into holds (product_id, id, quantity, status, expires_at, customer_id)
              select \(product), id, 1, 'ordered', to_timestamp(1795000000 + n), 'ada' from new
          )
          insert into orders (product_id, id, quantity, amount, currency, status, payment_due_at, created_at, paid_at)
          select \(product), id, 1, 100, 'USD', 'paid', to_timestamp(1795000000 + n), to_timestamp(1795000000 + n),
                 to_timestamp(1795000000 + n)
          from new
          """)
      }
    }

    private static func place(_ customer: String, of product: Int, on api: APIClient) async throws -> String {
      let body = #"{"product_id":\#(product),"quantity":1,"customer_id":"\#(customer)"}"#
      let hold: APIClient.Hold = try await api.send("POST", "/api/holds", body).decode()
      return try await api.order(hold.holdId).decode(APIClient.Order.self).orderId
    }

    @Test(.database) func `orders and holds are found by the members of the query`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 50)
        let orders = [
          try await Self.place("ada", of: product, on: api), try await Self.place("b & co+", of: product, on: api),
        ]
        _ = try await api.pay(orders[0], key: "k")
        func ids(_ list: String, _ query: String) async throws -> [String] {
          let answer = try await api.send("GET", "/api/admin/\(list)?\(query)")
          #expect(answer.status == 200 && answer.members["next_cursor"] is NSNull, "\(answer)")
          let rows = try #require(answer.members[list] as? [[String: Any]])
          return rows.compactMap { $0["order_id"] as? String ?? $0["hold_id"] as? String }.sorted()
        }
        #expect(try await ids("orders", "") == orders.sorted())
        #expect(try await ids("orders", "product_id=\(product)&status=paid") == [orders[0]])
        #expect(try await ids("orders", "customer_id=b%20%26%20co%2B&x=y") == [orders[1]])
        // As a form or URLSearchParams writes it.
        #expect(try await ids("orders", "customer_id=b+%26+co%2B") == [orders[1]])
        #expect(try await ids("orders", "created_after=2020-01-01T00:00:00Z").count == 2)
        #expect(try await ids("orders", "created_after=2999-01-01T00:00:00Z").isEmpty)
        #expect(try await ids("orders", "created_after=0001-01-01T00:00:00Z").count == 2)
        #expect(
          try await ids("holds", "status=ordered&customer_id=ada") == [orders[0].replacing("order_", with: "hold_")])
        #expect(try await ids("holds", "status=active").isEmpty)
      }
    }

    @Test(.database) func `all errors of the query are told at once`() async throws {
      try await withServers(1, on: TestDatabase.url) { servers in
        let long = String(repeating: "c", count: 256)
        let query = "product_id=0&status=sold&customer_id=\(long)&created_after=today&cursor=hold_1&format=xls"
        for (list, status) in [("orders", "pending_payment"), ("holds", "released")] {
          let answer = try await servers[0].api.send("GET", "/api/admin/\(list)?\(query)")
          #expect(answer.status == 422 && answer.problem == "validation")
          let errors = try #require(answer.members["errors"] as? [[String: String]])
          #expect(
            errors.compactMap { $0["pointer"] } == [
              "/product_id", "/status", "/customer_id", "/created_after", "/cursor", "/format",
            ])
          #expect(errors[1]["detail"]?.contains(status) == true)
          // A member without a value is no absent member.
          for member in ["status", "status=", "customer_id=", "cursor=", "customer_id=%00"] {
            #expect(
              try await servers[0].api.send("GET", "/api/admin/\(list)?\(member)").problem == "validation", "\(member)")
          }
        }
        // The cursor of one list is none of the other.
        let id = "000000016b038082a7b67565b6762b58"
        #expect(try await servers[0].api.send("GET", "/api/admin/orders?cursor=order_\(id)").status == 200)
        #expect(try await servers[0].api.send("GET", "/api/admin/orders?cursor=hold_\(id)").problem == "validation")
        #expect(try await servers[0].api.send("GET", "/api/admin/holds?cursor=hold_\(id)").status == 200)
      }
    }

    @Test(.database) func `an export has the whole selection as CSV or NDJSON`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 50)
        try await Self.addOrders(2_100, of: product, on: url)
        let hostile = try await Self.place("=1+\\\"1\\\",2", of: product, on: api)
        let path = "/api/admin/orders?product_id=\(product)"
        let csv = try await api.send("GET", path, headers: ["accept": "text/csv"])
        #expect(csv.status == 200 && csv.headers["content-type"] == "text/csv; charset=utf-8; header=present")
        #expect(csv.headers["content-disposition"] == #"attachment; filename="orders.csv""#)
        #expect(csv.headers["cache-control"] == "no-store" && csv.headers["content-length"] == nil)
        let lines = String(buffer: csv.body).components(separatedBy: "\r\n")
        #expect(lines.count == 2_100 + 3 && lines.last == "")
        #expect(
          lines[0]
            == "order_id,hold_id,product_id,quantity,amount,currency,status,payment_due_at,created_at,paid_at,"
            + "refunded_amount,dispute,metadata,customer_id")
        let line = try #require(lines.first { $0.hasPrefix(hostile) })
        #expect(line.hasSuffix(#",0,,,"'=1+""1"",2""#), "\(line)")

        let ndjson = try await api.send("GET", path, headers: ["accept": "application/x-ndjson"])
        #expect(ndjson.headers["content-type"] == "application/x-ndjson")
        let objects = try String(buffer: ndjson.body).split(separator: "\n").map { line in
          try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        #expect(objects.count == 2_101 && Set(objects.compactMap { $0["order_id"] as? String }).count == 2_101)
        let page = try await api.send("GET", path).members["orders"] as? [[String: Any]]
        #expect(objects[0].keys.sorted() == page?[0].keys.sorted())
        #expect(objects.first { $0["order_id"] as? String == hostile }?["customer_id"] as? String == #"=1+"1",2"#)

        // It goes on after the last line that arrived.
        let last = try #require(objects[1_499]["order_id"] as? String)
        let rest = try await api.send("GET", "\(path)&format=ndjson&cursor=\(last)")
        #expect(String(buffer: rest.body).split(separator: "\n").count == 601)
        let none = try await api.send("GET", "/api/admin/orders?status=refunded&format=csv")
        #expect(String(buffer: none.body).components(separatedBy: "\r\n").count == 2)
        #expect(try await api.send("GET", "/api/admin/holds?status=active&format=ndjson").body.readableBytes == 0)
      }
    }

    @Test(.database) func `a HEAD request has the head of an export, and frees its place`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        for _ in 0..<5 {
          let answer = try await servers[0].api.send("HEAD", "/api/admin/orders", headers: ["accept": "text/csv"])
          #expect(answer.status == 200 && answer.headers["content-type"]?.hasPrefix("text/csv") == true, "\(answer)")
        }
        for accept in ["text/html", "application/xml", "text/csv;q=0"] {
          let answer = try await servers[0].api.send("GET", "/api/admin/holds", headers: ["accept": accept])
          #expect(answer.status == 406 && answer.problem == "not-acceptable", "\(answer)")
        }
      }
    }

    /// Larger than the buffers of the kernel.
    private static let manyOrders = 100_000

    private static func export(_ server: ServerProcess, token: String = ServerProcess.adminToken) -> [UInt8] {
      Array(
        """
        GET /api/admin/orders?format=ndjson HTTP/1.1\r
        Host: 127.0.0.1:\(server.port)\r
        Authorization: Bearer \(token)\r
        \r

        """.utf8)
    }

    @Test(.database) func `few exports run, and a client that leaves frees its place`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let (server, api) = (servers[0], servers[0].api)
        let product = try await api.createProduct(stock: 50)
        try await Self.addOrders(Self.manyOrders, of: product, on: url)
        func status() async throws -> APIClient.Answer {
          try await api.send("GET", "/api/admin/holds?status=active&format=csv")
        }
        try await RawConnection.with(port: server.port) { first in
          try await first.send(Self.export(server))
          #expect(try await first.head().status == 200)
          try await RawConnection.with(port: server.port) { second in
            try await second.send(Self.export(server))
            #expect(try await second.head().status == 200)
            let refused = try await status()
            #expect(refused.status == 503 && refused.problem == "overloaded", "\(refused)")
            #expect(refused.headers["retry-after"] == "10")
            // Readers that do not read have no connection of the database.
            #expect(try await api.reserve(1, of: product).status == 201)
          }
          try await eventually("the place is free") { try await status().status == 200 }
        }
        try await eventually("both places are free") { try await status().status == 200 }
      }
    }

    @Test(.database) func `a slow reader does not grow the server's memory`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let (server, api) = (servers[0], servers[0].api)
        try await Self.addOrders(Self.manyOrders, of: api.createProduct(stock: 50), on: url)
        func residentBytes() async throws -> Double {
          let metrics = String(buffer: try await api.send("GET", "/metrics").body)
          let line = try #require(metrics.firstMatch(of: /\nprocess_resident_memory_bytes ([0-9.e+]+)/), "\(metrics)")
          return try #require(Double(line.output.1))
        }
        // The first pages fill the pools of the allocator.
        _ = try await api.send("GET", "/api/admin/orders?format=ndjson&created_after=2026-11-19T14:30:00Z")
        let before = try await residentBytes()
        try await RawConnection.with(port: server.port) { connection in
          try await connection.send(Self.export(server))
          _ = try await connection.head()
          try await Task.sleep(for: .seconds(1))
          let meanwhile = try await residentBytes()
          #expect(meanwhile - before < 15_000_000, "\(meanwhile - before)")
          // It was waiting: all of it arrives when the client reads on.
          let text = String(buffer: await connection.rest(until: "0\r\n\r\n"))
          #expect(text.hasSuffix("\r\n0\r\n\r\n"))
          #expect(text.components(separatedBy: #"{"order_id""#).count == Self.manyOrders + 1)
        }
        let after = try await residentBytes()
        #expect(after - before < 15_000_000, "\(after - before)")
      }
    }

    @Test(.database) func `an export that is cut ends without the last chunk`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        try await Self.addOrders(Self.manyOrders, of: server.api.createProduct(stock: 50), on: url)
        let key = try await createKey("laptop", .read, on: url)
        try await RawConnection.with(port: server.port) { connection in
          try await connection.send(Self.export(server, token: key))
          #expect(try await connection.head().status == 200)
          try await flashsale(["key", "revoke", "laptop"], database: url).expectSuccess()
          let text = String(buffer: await connection.rest(until: "0\r\n\r\n"))
          #expect(!text.hasSuffix("0\r\n\r\n"))
          let count = text.components(separatedBy: #"{"order_id""#).count - 1
          #expect(1..<Self.manyOrders ~= count, "\(count)")
        }
      }
    }

    @Test(.database) func `a server that shuts down cuts an export`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        try await Self.addOrders(Self.manyOrders, of: server.api.createProduct(stock: 50), on: url)
        try await RawConnection.with(port: server.port) { connection in
          try await connection.send(Self.export(server))
          #expect(try await connection.head().status == 200)
          let start = ContinuousClock.now
          #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
          #expect(ContinuousClock.now - start < .seconds(8))
        }
      }
    }
  }
}
