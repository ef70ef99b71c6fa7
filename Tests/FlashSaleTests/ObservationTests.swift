import Foundation
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  /// The metrics, traces and logs of a server.
  @Suite struct ObservationTests {
    /// The names of all metrics in docs/alerting.md.
    private static func documentedNames() throws -> Set<String> {
      let file = URL(filePath: #filePath).appending(path: "../../../docs/alerting.md").standardized
      let text = try String(contentsOf: file, encoding: .utf8)
      return Set(text.matches(of: /\b(?:flashsale|trace|process)_[a-z_]+/).map { String($0.output) })
    }

    private static func metrics(_ server: ServerProcess) async throws -> PrometheusSamples {
      let answer = try await server.api.send("GET", "/metrics")
      try #require(answer.status == 200)
      #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
      return try PrometheusSamples(parsing: String(buffer: answer.body))
    }

    /// Sends requests of each kind: purchases, refusals, payments, replays and unknown routes.
    private static func use(_ api: APIClient) async throws -> Int {
      let product = try await api.createProduct(stock: 5)
      let hold = try await api.reserve(2, of: product).decode(APIClient.Hold.self)
      #expect(try await api.reserve(9, of: product).status == 409)
      #expect(try await api.reserve(1, of: product + 1).status == 404)
      #expect(try await api.order(hold.holdId).status == 201)
      #expect(try await api.order(hold.holdId).status == 409)
      for key in ["a", "a", "b"] { #expect(try await api.pay(hold.orderID, key: key).status == 200) }
      #expect(try await api.product(product).availableStock == 3)
      for path in ["/nowhere/\(UUID())", "/api/holds/\(UUID())"] {
        #expect(try await api.send("GET", path).status == 404)
      }
      #expect(try await api.send("PROPFIND", "/api/products").status == 405)
      return product
    }

    @Test(.database) func `requests, outcomes and batches are counted`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await Self.use(servers[0].api)
        let metrics = try await Self.metrics(servers[0])
        let requests = "flashsale_http_requests_total"
        func count(_ method: String, _ route: String, _ status: Int) -> Double? {
          metrics[requests, ["method": method, "route": route, "status": "\(status)"]]
        }
        #expect(count("POST", "/api/holds", 201) == 1 && count("POST", "/api/holds", 409) == 1)
        #expect(count("POST", "/api/holds", 404) == 1)
        #expect(count("GET", "/api/holds/{id}", 404) == 1 && count("GET", "/api/products/{id}", 200) == 1)
        #expect(count("GET", "none", 404) == 1)
        let duration = "flashsale_http_request_duration_seconds_count"
        #expect(metrics[duration, ["method": "POST", "route": "/api/holds"]] == 3)
        // An unknown method is counted as `other`. Otherwise clients could create any number of labels.
        #expect(count("other", "none", 405) == 1)

        for (outcome, expected) in ["held": 1.0, "insufficient_stock": 1, "product_not_found": 1, "failed": 0] {
          #expect(metrics["flashsale_holds_total", ["outcome": outcome]] == expected)
        }
        #expect(metrics["flashsale_orders_total", ["outcome": "placed"]] == 1)
        #expect(metrics["flashsale_orders_total", ["outcome": "already_ordered"]] == 1)
        for (verdict, expected) in ["applied": 1.0, "replayed": 1, "refund_due": 1, "parked": 0] {
          #expect(metrics["flashsale_payment_events_total", ["verdict": verdict]] == expected)
        }
        // The request for an unknown product only reads the product.
        #expect(metrics["flashsale_batch_size_sum", ["use_case": "reserve_holds"]] == 2)
        #expect(metrics["flashsale_batch_wait_seconds_count", ["use_case": "reserve_holds"]] == 2)
        #expect(metrics["flashsale_statement_duration_seconds_count", ["statement": "reserve_holds"]] == 2)
        #expect(metrics["flashsale_product_available_stock", ["product_id": "\(product)"]] == 3)
        #expect(metrics["flashsale_money_waiting_amount", ["verdict": "refund_due", "currency": "USD"]] == 1000)
        #expect(metrics["flashsale_database_up"] == 1)
      }
    }

    @Test(.database) func `process and build metrics have their customary names`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        let before = try await Self.metrics(servers[0])
        #expect(before["flashsale_open_streams"] == 0)
        let events = "\(servers[0].url)/api/products/\(product)/events"
        let readers = [try await EventReader.open(events), try await EventReader.open(events)]
        let metrics = try await Self.metrics(servers[0])
        #expect(metrics["flashsale_open_streams"] == 2)
        for reader in readers { reader.close() }

        let version = try await flashsale(["--version"]).output
        let build = try #require(metrics.samples.first { $0.name == "flashsale_build_info" })
        #expect(build.value == 1 && build.labels["version"] == version.first, "\(build)")
        #expect(build.labels["swift"]?.wholeMatch(of: /\d+\.\d+/) != nil, "\(build)")
        let cpu = try #require(metrics["process_cpu_seconds_total"])
        #expect(try cpu > 0 && cpu >= #require(before["process_cpu_seconds_total"]))
        #expect(metrics.types["process_cpu_seconds_total"] == "counter")
        #expect(try #require(metrics["process_resident_memory_bytes"]) > 1e6)
        let (open, limit) = (try #require(metrics["process_open_fds"]), try #require(metrics["process_max_fds"]))
        #expect(try open >= #require(before["process_open_fds"]) + 2 && open < limit, "\(open) of \(limit)")
        let started = try #require(metrics["process_start_time_seconds"])
        let current = Date.now.timeIntervalSince1970
        #expect(started <= current && started > current - 3600, "\(started) at \(current)")
      }
    }

    @Test func `the collector gets the configured headers and service name`() async throws {
      try await SpanCollector.withCollector { collector in
        try await TestDatabases.withDatabase { url in
          let settings = [
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_SAMPLE_RATIO": "1", "OTEL_SERVICE_NAME": "the shop",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20key%3D1, x-tenant = shop ",
          ]
          try await withServers(1, on: url, settings: settings) { servers in
            _ = try await servers[0].api.createProduct(stock: 5)
            #expect(try await servers[0].api.product(1).availableStock == 5)
            #expect(try await servers[0].end(with: .terminate) == .exited(0))
          }
          #expect(collector.services == ["the shop"])
          #expect(collector.headers["api-key"] == "a key=1" && collector.headers["x-tenant"] == "shop")
        }
      }
    }

    @Test func `concurrent requests are each counted and traced exactly once`() async throws {
      try await SpanCollector.withCollector { collector in
        try await TestDatabases.withDatabase { url in
          try await withServers(
            1, on: url, settings: ["OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_SAMPLE_RATIO": "1"]
          ) { servers in
            let (buyers, stock) = (300, 200)
            let product = try await servers[0].api.createProduct(stock: stock)
            try await withThrowingDiscardingTaskGroup { group in
              for _ in 0..<buyers { group.addTask { _ = try await servers[0].api.reserve(1, of: product) } }
            }
            let metrics = try await Self.metrics(servers[0])
            let (all, held) = (Double(buyers), Double(stock))
            #expect(metrics["flashsale_holds_total", ["outcome": "held"]] == held)
            #expect(metrics["flashsale_holds_total", ["outcome": "insufficient_stock"]] == all - held)
            #expect(metrics["flashsale_http_requests_total", ["route": "/api/holds", "status": "201"]] == held)
            #expect(metrics["flashsale_http_request_duration_seconds_count", ["route": "/api/holds"]] == all)
            #expect(metrics["flashsale_batch_wait_seconds_count", ["use_case": "reserve_holds"]] == all)
            #expect(metrics["flashsale_batch_size_sum", ["use_case": "reserve_holds"]] == all)
            let batches = try #require(metrics["flashsale_batch_size_count", ["use_case": "reserve_holds"]])
            #expect(try await servers[0].end(with: .terminate) == .exited(0))
            // There is one span for each request and each batch. A batch's span is the child of a request's span.
            let spans = collector.spans
            let requests = Set(spans.filter { $0.name == "POST /api/holds" }.map(\.spanId))
            let ofBatches = spans.filter { $0.name == "reserve_holds batch" }
            #expect(requests.count == buyers && Double(ofBatches.count) == batches)
            #expect(ofBatches.allSatisfy { requests.contains($0.parentSpanId ?? "") })
            #expect(
              ofBatches.compactMap { $0["flashsale.batch.size"]?.intValue.flatMap { Int($0) } }.reduce(0, +) == buyers)
          }
        }
      }
    }

    @Test(.database) func `the lag of expiry jobs is measured`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["HOLD_TTL_SECONDS": "0.3"]) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        var metrics = try await Self.metrics(servers[0])
        let start = Moment.now
        try await eventually("a job was run and its lag recorded") {
          _ = try await servers[0].api.reserve(1, of: product)
          metrics = try await Self.metrics(servers[0])
          return metrics["flashsale_expiry_lag_seconds_count"] ?? 0 > 0
        }
        let (count, sum) = (
          metrics["flashsale_expiry_lag_seconds_count"]!, metrics["flashsale_expiry_lag_seconds_sum"]!
        )
        #expect(count <= metrics["flashsale_jobs_total"]!)
        // No job is due before the first hold, so no lag is longer than the time since then.
        let elapsed = start.duration(to: .now) / Duration.seconds(1)
        #expect(sum >= 0 && sum <= count * elapsed, "\(sum) s in \(count) jobs")
      }
    }

    @Test func `the documentation lists exactly the existing metrics`() async throws {
      try await SpanCollector.withCollector { collector in
        try await TestDatabases.withDatabase { url in
          try await withServers(
            1, on: url, settings: ["OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_SAMPLE_RATIO": "1"]
          ) { servers in
            _ = try await Self.use(servers[0].api)
            _ = try await PaidOrder(servers[0].api).refund("{}", key: "first", by: servers[0].api)
            let metrics = try await Self.metrics(servers[0])
            let documented = try Self.documentedNames()
            let known = metrics.types.flatMap { name, type in
              [name] + (type == "histogram" ? ["_bucket", "_sum", "_count"].map { name + $0 } : [])
            }
            #expect(documented.subtracting(known) == [])
            #expect(Set(metrics.types.keys).filter { name in !documented.contains { $0.hasPrefix(name) } } == [])
            #expect(Set(metrics.types.keys).subtracting(metrics.helps.keys) == [])
          }
        }
      }
    }

    @Test(.database) func `metrics are available while the database is away`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        _ = try await Self.use(servers[0].api)
        let name = try #require(url.split(separator: "/").last)
        try await withPool(on: url.dropLast(name.count) + "postgres") { server in
          // The database refuses new connections, and PostgreSQL ends the existing ones.
          try await server.run("alter database \(name) with allow_connections false")
          try await server.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(name)'")
          try await eventually("the database is seen to be away") {
            try await Self.metrics(servers[0])["flashsale_database_up"] == 0
          }
          let metrics = try await Self.metrics(servers[0])
          #expect(metrics["flashsale_holds_total", ["outcome": "held"]] == 1)
          #expect(metrics.types["flashsale_jobs_due"] == nil)
          try await server.run("alter database \(name) with allow_connections true")
          try await eventually("the database is seen again") {
            try await Self.metrics(servers[0])["flashsale_database_up"] == 1
          }
        }
      }
    }

    @Test(.database) func `metrics can be turned off`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["METRICS": "false"]) { servers in
        _ = try await Self.use(servers[0].api)
        #expect(try await servers[0].api.send("GET", "/metrics").status == 404)
      }
    }

    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    @Test func `a request and its batch are spans of the caller's trace`() async throws {
      try await SpanCollector.withCollector { collector in
        try await TestDatabases.withDatabase { url in
          let settings = ["OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_SAMPLE_RATIO": "0"]
          try await withServers(1, on: url, settings: settings) { servers in
            let product = try await servers[0].api.createProduct(stock: 5)
            func reserve(_ quantity: Int, flags: String) async throws -> UInt {
              try await servers[0].api.send(
                "POST", "/api/holds", #"{"product_id":\#(product),"quantity":\#(quantity)}"#,
                headers: ["traceparent": "00-\(Self.trace)-00f067aa0ba902b7-\(flags)", "tracestate": "a=1"]
              ).status
            }
            // The second request is not recorded, because its caller does not record. The ratio excludes new traces.
            #expect(try await reserve(1, flags: "01") == 201)
            #expect(try await reserve(1, flags: "00") == 201)
            #expect(try await reserve(9, flags: "01") == 409)
            let request = try await collector.span(named: "POST /api/holds") {
              $0["http.response.status_code"]?.intValue == "201"
            }
            #expect(request.traceId == Self.trace && request.parentSpanId == "00f067aa0ba902b7" && request.kind == 2)
            #expect(request.traceState == "a=1" && request.status == nil)
            #expect(request["http.request.method"]?.stringValue == "POST")
            #expect(request["http.route"]?.stringValue == "/api/holds")
            let batch = try await collector.span(named: "reserve_holds batch") { $0.parentSpanId == request.spanId }
            #expect(batch.traceId == Self.trace && batch["flashsale.batch.size"]?.intValue == "1")
            _ = try await collector.span(named: "POST /api/holds") {
              $0["http.response.status_code"]?.intValue == "409"
            }
            #expect(try await servers[0].end(with: .terminate) == .exited(0))
            #expect(collector.spans.count == 4, "\(collector.spans.map(\.name))")
            #expect(collector.services == ["flashsale"])
          }
        }
      }
    }

    @Test func `JSON log lines contain the ids of the request and the trace`() async throws {
      try await SpanCollector.withCollector { collector in
        try await TestDatabases.withDatabase { url in
          let settings = [
            "LOG_FORMAT": "json", "LOG_LEVEL": "trace", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "TRACE_SAMPLE_RATIO": "1",
          ]
          try await withServers(1, on: url, settings: settings) { servers in
            try await withPool(on: url) { try await $0.run("drop function read_products(integer[])") }
            let answer = try await servers[0].api.send(
              "GET", "/api/products/1",
              headers: ["x-request-id": "req-\"7\"", "traceparent": "00-\(Self.trace)-00f067aa0ba902b7-01"])
            #expect(answer.status == 500)
            #expect(try await servers[0].end(with: .terminate) == .exited(0))
            let lines = servers[0].output.split(separator: "\n").filter { !$0.hasPrefix("flashsale serves on") }
            let objects = try lines.map { line in
              try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
            }
            for object in objects {
              for member in ["time", "level", "label", "message"] { #expect(object[member] is String) }
            }
            let failure = try #require(objects.first { $0["message"] as? String == "request failed" })
            #expect(failure["level"] as? String == "error" && failure["path"] as? String == "/api/products/1")
            #expect(failure["request_id"] as? String == "req-\"7\"")
            #expect(failure["trace_id"] as? String == Self.trace)
            let span = try await collector.span(named: "GET /api/products/{id}")
            #expect(failure["span_id"] as? String == span.spanId && span.status?.code == 2)
          }
        }
      }
    }
  }
}
