import Foundation
import StandardWebhooks
import TestSupport
import Testing

extension FlashSaleTests {
  /// `/api/admin/webhook-endpoints`, over HTTP.
  @Suite struct WebhookEndpointTests {
    private static let path = APIClient.endpointsPath
    private static let unknown = "\(path)/we_00000000000000000000000000000000"

    @Test(.database) func `an endpoint is created, shown, changed and deleted through any server`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let (api, other) = (servers[0].api, servers[1].api)
        let body = #"{"url":"https://203.0.114.1/hooks","events":["order.*","refund.due"],"description":"Mails"}"#
        let created = try await api.send("POST", Self.path, body)
        #expect(created.status == 201, "\(created)")
        let id = try #require(created.members["id"] as? String)
        #expect(id.wholeMatch(of: /we_[0-9a-f]{32}/) != nil)
        #expect(created.headers["location"] == "\(Self.path)/\(id)")
        #expect(WebhookSecret(try #require(created.members["secret"] as? String)) != nil)

        let shown = try await other.send("GET", "\(Self.path)/\(id)")
        #expect(shown.status == 200 && shown.members["url"] as? String == "https://203.0.114.1/hooks", "\(shown)")
        #expect(shown.members["events"] as? [String] == ["order.*", "refund.due"])
        #expect(shown.members["description"] as? String == "Mails" && shown.members["status"] as? String == "enabled")
        #expect(shown.members["failures"] as? Int == 0 && shown.members["failing_since"] is NSNull)

        let changes = #"{"url":"https://203.0.114.2/","events":["*"],"description":null,"status":"disabled"}"#
        let changed = try await other.send("PATCH", "\(Self.path)/\(id)", changes)
        #expect(changed.status == 200 && changed.members["events"] as? [String] == ["*"], "\(changed)")
        #expect(changed.members["description"] is NSNull && changed.members["status"] as? String == "disabled")
        #expect(changed.members["disabled_reason"] as? String == "operator")
        let enabled = try await api.send("PATCH", "\(Self.path)/\(id)", #"{"status":"enabled"}"#)
        #expect(enabled.members["status"] as? String == "enabled" && enabled.members["disabled_reason"] is NSNull)
        #expect(enabled.members["url"] as? String == "https://203.0.114.2/")

        #expect(try await api.send("DELETE", "\(Self.path)/\(id)").status == 204)
        #expect(try await other.send("GET", "\(Self.path)/\(id)").problem == "not-found")
        #expect(try await other.send("DELETE", "\(Self.path)/\(id)").problem == "not-found")
        #expect(try await other.list(Self.path, "webhook_endpoints").isEmpty)
      }
    }

    @Test(.database) func `only creation and rotation show a secret`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ServerProcess.privateEndpoints) { servers in
        let api = servers[0].api
        let (id, secret) = try await api.createEndpoint(events: "*")
        let rotated = try await api.send("POST", "\(Self.path)/\(id)/rotate-secret")
        let next = try #require(rotated.members["secret"] as? String, "\(rotated)")
        #expect(rotated.status == 200 && next != secret && WebhookSecret(next) != nil)
        // Each of these shows the endpoint or tells of it.
        _ = try await api.buy(api.createProduct(stock: 5))
        _ = try await api.send("POST", "\(Self.path)/\(id)/test")
        _ = try await api.send("PUT", "/api/admin/event-feed", #"{"events":["*"]}"#)
        var texts: [String] = []
        for path in [
          Self.path, "\(Self.path)/\(id)", "/api/admin/audit-log", "/api/admin/deliveries", "/api/admin/events",
          "/api/admin/event-feed", "/metrics",
        ] {
          let answer = try await api.send("GET", path)
          #expect(answer.status == 200, "\(path) \(answer)")
          texts.append(String(buffer: answer.body))
        }
        let changed = try await api.send("PATCH", "\(Self.path)/\(id)", #"{"description":"Mails"}"#)
        texts.append(String(buffer: changed.body))
        for text in texts {
          #expect(!text.contains("whsec_") && !text.contains(secret) && !text.contains(next), "\(text)")
        }
      }
    }

    @Test(.database) func `invalid endpoints are refused with all reasons`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        func pointers(_ answer: APIClient.Answer) throws -> [String] {
          #expect(answer.status == 422 && answer.problem == "validation", "\(answer)")
          let errors = try #require(answer.members["errors"] as? [[String: Any]])
          return errors.compactMap { $0["pointer"] as? String }.sorted()
        }
        let long = String(repeating: "a", count: 256)
        let several = try await api.send(
          "POST", Self.path, #"{"url":7,"events":["order.lost"],"description":"\#(long)"}"#)
        #expect(try pointers(several) == ["/description", "/events", "/url"])
        #expect(try pointers(await api.send("POST", Self.path, "{}")) == ["/events", "/url"])
        for events in [
          "[]", #""""#, #""order.*""#, #"["order"]"#, #"["Order.*"]"#, #"["endpoint.test"]"#, "[1]", "null",
        ] {
          let body = #"{"url":"https://203.0.114.1/","events":\#(events)}"#
          #expect(try pointers(await api.send("POST", Self.path, body)) == ["/events"], "\(events)")
        }
        for address in [
          "ftp://203.0.114.1/", "http://203.0.114.1/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/",
          "https://10.0.0.1/", "https://169.254.169.254/", "https://a:b@203.0.114.1/", "https://203.0.114.1/#a",
          "https://",
          "/hooks", "https://203.0.114.1/" + String(repeating: "a", count: 2048),
        ] {
          let answer = try await api.send("POST", Self.path, #"{"url":"\#(address)","events":["*"]}"#)
          #expect(try pointers(answer) == ["/url"], "\(address)")
        }
        #expect(try await api.list(Self.path, "webhook_endpoints").isEmpty)

        let created = try await api.send("POST", Self.path, #"{"url":"https://203.0.114.1/","events":["*"]}"#)
        let path = try "\(Self.path)/\(#require(created.members["id"] as? String))"
        let changes = #"{"url":"https://10.0.0.1/","events":["*"]}"#
        #expect(try pointers(await api.send("PATCH", path, changes)) == ["/url"])
        #expect(
          try pointers(await api.send("PATCH", path, #"{"url":null,"events":[],"status":"gone"}"#))
            == ["/events", "/status", "/url"])
        #expect(try pointers(await api.send("POST", path + "/recover", "{}")) == ["/since"])
        #expect(try pointers(await api.send("POST", path + "/recover", #"{"since":"yesterday"}"#)) == ["/since"])
      }
    }

    @Test(.database) func `an id that cannot exist is 404`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let ids = ["we_1", "WE_00000000000000000000000000000000", "evt_00000000000000000000000000000000", "%00"]
        for path in [Self.unknown] + ids.map({ "\(Self.path)/\($0)" }) {
          for (method, suffix, body) in [
            ("GET", "", nil), ("PATCH", "", "{}"), ("DELETE", "", nil), ("POST", "/rotate-secret", nil),
            ("POST", "/test", nil),
            ("POST", "/recover", #"{"since":"2026-11-27T09:00:00Z"}"#),
          ] as [(String, String, String?)] {
            let answer = try await api.send(method, path + suffix, body)
            #expect(answer.problem == "not-found", "\(method) \(path)\(suffix): \(answer)")
          }
        }
        for id in ["evt_00000000000000000000000000000000", "evt_1", "we_00000000000000000000000000000000"] {
          #expect(try await api.send("POST", "/api/admin/events/\(id)/redeliver").problem == "not-found", "\(id)")
        }
      }
    }

    @Test(.database) func `a shop has at most 50 endpoints`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url, settings: ServerProcess.privateEndpoints) { servers in
        // Two servers at once must not make one more.
        let statuses = try await withThrowingTaskGroup(of: UInt.self) { group in
          for number in 0..<60 {
            group.addTask {
              let body = #"{"url":"http://127.0.0.1:1/\#(number)","events":["order.paid"]}"#
              let answer = try await servers[number % 2].api.send("POST", Self.path, body)
              #expect(answer.status == 201 || answer.problem == "too-many-endpoints", "\(answer)")
              return answer.status
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.count { $0 == 201 } == 50 && statuses.count { $0 == 409 } == 10, "\(statuses)")
        let ids = try await servers[0].api.list(Self.path, "webhook_endpoints").compactMap { $0["id"] as? String }
        #expect(Set(ids).count == 50)
        #expect(try await servers[1].api.send("DELETE", "\(Self.path)/\(ids[0])").status == 204)
        _ = try await servers[0].api.createEndpoint()
      }
    }

    @Test(.database) func `the audit log has each change of an endpoint and of the feed`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ServerProcess.privateEndpoints) { servers in
        let api = servers[0].api
        let key = try await createKey("ops", .admin, on: url)
        let body = #"{"url":"http://127.0.0.1:1/","events":["*"]}"#
        let created = try await api.send("POST", Self.path, body, token: key)
        let path = try "\(Self.path)/\(#require(created.members["id"] as? String))"
        _ = try await api.send("PATCH", path, #"{"events":["order.*"]}"#, token: key)
        // This changes nothing.
        _ = try await api.send("PATCH", path, #"{"events":["order.*"]}"#, token: key)
        _ = try await api.send("POST", path + "/rotate-secret", token: key)
        _ = try await api.send("POST", path + "/recover", #"{"since":"2026-11-27T09:00:00Z"}"#, token: key)
        _ = try await api.send("PUT", "/api/admin/event-feed", #"{"events":["*"]}"#, token: key)
        _ = try await api.send("DELETE", path, token: key)
        let changes = try await api.list("/api/admin/audit-log", "changes").filter { $0["who"] as? String == "ops" }
        #expect(
          changes.compactMap { $0["action"] as? String } == [
            "webhook_endpoint.deleted", "event_feed.updated", "webhook_endpoint.recovered",
            "webhook_endpoint.secret_rotated", "webhook_endpoint.updated", "webhook_endpoint.created",
          ])
        #expect((changes[4]["from"] as? [String: Any])?["events"] as? [String] == ["*"], "\(changes[4])")
        #expect((changes[4]["to"] as? [String: Any])?["events"] as? [String] == ["order.*"], "\(changes[4])")
      }
    }
  }
}
