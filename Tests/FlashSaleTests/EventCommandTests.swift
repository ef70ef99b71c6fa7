import Foundation
import StandardWebhooks
import TestSupport
import Testing

extension FlashSaleTests {
  /// `flashsale endpoint`, `event` and `delivery`.
  @Suite struct EventCommandTests {
    @Test(.database) func `an endpoint is managed from a shell, and gets a signed test event`() async throws {
      let url = TestDatabase.url
      let settings = ServerProcess.privateEndpoints
      func run(_ arguments: String...) async throws -> CommandResult {
        try await flashsale(arguments, database: url, settings: settings)
      }
      try await WebhookReceiver.with { receiver in
        try await withServers(1, on: url, settings: settings) { servers in
          let created = try await run(
            "endpoint", "create", receiver.url(), "--events", "order.*,refund.due", "--description", "Mails")
          #expect(created.status == .exited(0) && created.output.count == 1, "\(created)")
          let secret = try #require(created.output.first)
          #expect(WebhookSecret(secret) != nil && !created.errors.joined().contains(secret), "\(created)")
          let id = try #require(created.errors.joined().firstMatch(of: /we_[0-9a-f]{32}/)).output
          let list = try await run("endpoint", "list")
          list.expectSuccess()
          #expect(list.output[0].split(separator: " ") == ["ID", "STATUS", "FAILURES", "EVENTS", "URL"])
          #expect(
            list.output[1].split(separator: " ")
              == [id, "enabled", "0", "order.*,refund.due", Substring(receiver.url())], "\(list)")

          let test = try await run("endpoint", "test", String(id))
          test.expectSuccess()
          try await eventually("the test event arrives") { receiver.requests.count == 1 }
          let request = receiver.requests[0]
          #expect(request.headers["webhook-id"] == test.output.first, "\(request)")
          let body = try #require(try JSONSerialization.jsonObject(with: request.body) as? [String: Any])
          #expect(body["type"] as? String == "endpoint.test" && body["id"] as? String == test.output.first)
          let timestamp = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
          let signature = try #require(WebhookSecret(secret)).signature(
            id: try #require(test.output.first), timestamp: timestamp, body: request.body)
          #expect(request.headers["webhook-signature"] == signature)
          try await eventually("the delivery is recorded") {
            try await run("delivery", "list", "--status", "delivered", "--event", test.output[0]).output.count == 2
          }

          let rotated = try await run("endpoint", "rotate-secret", String(id))
          #expect(
            rotated.status == .exited(0) && rotated.output.count == 1 && rotated.output[0] != secret, "\(rotated)")
          try await run("endpoint", "test", String(id)).expectSuccess()
          try await eventually("it arrives, too") { receiver.requests.count == 2 }
          #expect(receiver.requests[1].headers["webhook-signature"]?.split(separator: " ").count == 2)

          try await run("endpoint", "update", String(id), "--events", "*", "--disable").expectSuccess()
          let json = try await run("endpoint", "list", "--json")
          json.expectSuccess()
          let shown = try JSONSerialization.jsonObject(with: Data(json.output[0].utf8)) as? [String: Any]
          #expect(shown?["status"] as? String == "disabled" && shown?["events"] as? [String] == ["*"], "\(json)")
          #expect(!json.output[0].contains("whsec_"))
          try await run("endpoint", "update", String(id), "--enable", "--description", "").expectSuccess()
          let recovered = try await run("endpoint", "recover", String(id), "--since", "2026-01-01T00:00:00Z")
          #expect(recovered.status == .exited(0) && recovered.output == ["0"], "\(recovered)")
          try await run("endpoint", "delete", String(id)).expectSuccess()
          for command in ["test", "rotate-secret", "delete"] {
            try await run("endpoint", command, String(id)).expectFailure(saying: "no endpoint \(id)")
          }
          #expect(try await run("endpoint", "list").output.count == 1)
        }
      }
    }

    @Test(.database) func `events are listed, oldest first, and sent again`() async throws {
      let url = TestDatabase.url
      let settings = ServerProcess.privateEndpoints
      try await WebhookReceiver.with { receiver in
        try await withServers(1, on: url, settings: settings) { servers in
          let api = servers[0].api
          _ = try await api.createEndpoint(receiver.url(), events: "order.*")
          let order = try await api.buy(api.createProduct(stock: 9))
          try await eventually("both events arrive") { receiver.requests.count == 2 }
          try await eventually("both are listed") {
            try await flashsale(["event", "list"], database: url).output.count == 3
          }
          let list = try await flashsale(["event", "list"], database: url)
          list.expectSuccess()
          #expect(list.output[0].split(separator: " ") == ["TIME", "ID", "TYPE", "OBJECT"])
          let rows = list.output.dropFirst().map { $0.split(separator: " ") }
          #expect(rows.map { $0[2] } == ["order.placed", "order.paid"], "\(list)")
          #expect(rows.allSatisfy { $0[3] == order }, "\(list)")
          let paid = try await flashsale(["event", "list", "--type", "order.paid", "--json"], database: url)
          #expect(paid.output.count == 1 && paid.output[0].contains(#""type":"order.paid""#), "\(paid)")
          #expect(try await flashsale(["event", "list", "--product", "99"], database: url).output.count == 1)

          let again = try await flashsale(["event", "redeliver", String(rows[1][1])], database: url)
          #expect(again.status == .exited(0) && again.output == ["1"], "\(again)")
          try await eventually("it arrives again") { receiver.requests.count == 3 }
          #expect(receiver.requests[2].headers["webhook-id"] == String(rows[1][1]))
          #expect(receiver.requests[2].body == receiver.requests[1].body)
          let deliveries = try await flashsale(["delivery", "list", "--limit", "1"], database: url)
          #expect(deliveries.output.count == 2 && deliveries.output[1].contains("  order."), "\(deliveries)")
          try await flashsale(["event", "redeliver", "evt_" + String(repeating: "0", count: 32)], database: url)
            .expectFailure(saying: "no event evt_0")
        }
      }
    }

    @Test(.database) func `an address that cannot get events is refused`() async throws {
      let url = TestDatabase.url
      for address in ["https://127.0.0.1/hooks", "http://203.0.114.1/hooks", "hooks"] {
        let result = try await flashsale(["endpoint", "create", address, "--events", "*"], database: url)
        result.expectFailure(saying: "the URL cannot get events")
        #expect(result.output.isEmpty)
      }
      #expect(try await flashsale(["endpoint", "list"], database: url).output.count == 1)
    }

    @Test(arguments: [
      ["endpoint", "create"], ["endpoint", "create", "https://shop.example/"],
      ["endpoint", "create", "https://shop.example/", "--events", ""],
      ["endpoint", "create", "https://shop.example/", "--events", "order.*,order.lost"],
      ["endpoint", "create", "https://shop.example/", "--events", "*", "--description", ""],
      ["endpoint", "update", "we_1", "--enable"],
      ["endpoint", "update", "we_00000000000000000000000000000000"],
      ["endpoint", "update", "we_00000000000000000000000000000000", "--enable", "--disable"],
      ["endpoint", "recover", "we_00000000000000000000000000000000"],
      ["endpoint", "recover", "we_00000000000000000000000000000000", "--since", "yesterday"],
      ["event", "list", "--type", "order.lost"], ["event", "redeliver", "1"],
      ["delivery", "list", "--status", "lost"], ["delivery", "list", "--limit", "0"],
    ])
    func `wrong usage ends with exit code 64`(_ arguments: [String]) async throws {
      try await flashsale(arguments, database: "postgresql://nobody@127.0.0.1:1/nothing").expectUsageError()
    }

    @Test(.database) func `a server's role may manage endpoints`() async throws {
      let url = TestDatabases.serverURL(TestDatabase.url)
      let created = try await flashsale(
        ["endpoint", "create", "http://127.0.0.1:1/", "--events", "*"], database: url,
        settings: ServerProcess.privateEndpoints)
      #expect(created.status == .exited(0), "\(created)")
      try await flashsale(["endpoint", "list"], database: url).expectSuccess()
      try await flashsale(["event", "list"], database: url).expectSuccess()
      try await flashsale(["delivery", "list"], database: url).expectSuccess()
    }
  }
}
