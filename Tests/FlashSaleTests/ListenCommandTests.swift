import Foundation
import StandardWebhooks
import Synchronization
import TestSupport
import Testing

extension FlashSaleTests {
  /// `flashsale listen`.
  @Suite struct ListenCommandTests {
    @Test(.database) func `new events are forwarded, signed, and sent again after a failure`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let isFirst = Mutex(true)
        let reply: @Sendable (WebhookReceiver.Request) -> WebhookReceiver.Reply = { _ in
          isFirst.withLock { isFirst in
            defer { isFirst = false }
            return .status(isFirst ? 500 : 204)
          }
        }
        try await WebhookReceiver.with(reply: reply) { receiver in
          let process = ChildProcess(
            ["listen", "--forward", receiver.url(), "--url", api.url, "--types", "order.*", "--turn-on"],
            settings: ["ADMIN_TOKEN": ServerProcess.adminToken])
          let line = try await process.line(startingWith: "They are signed with ")
          let printed = try #require(line.split(separator: " ").last)
          let secret = try #require(WebhookSecret(String(printed)))
          _ = try await api.buy(product)
          try await until("both events have come") { receiver.requests.count == 3 }
          let requests = receiver.requests
          #expect(requests[0].headers["webhook-id"] == requests[1].headers["webhook-id"])
          #expect(requests[0].body == requests[1].body)
          for request in requests {
            let timestamp = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
            let id = try #require(request.headers["webhook-id"])
            #expect(
              request.headers["webhook-signature"]
                == secret.signature(id: id, timestamp: timestamp, body: request.body))
          }
          #expect(try await process.line(startingWith: "order.placed").hasSuffix("500; again in 0.5 s"))
          #expect(try await process.line(startingWith: "order.placed").hasSuffix("204"))
          #expect(try await process.line(startingWith: "order.paid").hasSuffix("204"))
          process.send(.interrupt)
          #expect(try await process.status == .exited(0), "\(process.output)")
        }
      }
    }

    @Test func `a signal ends the command before it has found the end of the feed`() async throws {
      try await WebhookReceiver.with(reply: { _ in .silence }) { server in
        let process = ChildProcess(
          ["listen", "--forward", "http://127.0.0.1:1/", "--url", server.url(path: "")],
          settings: ["ADMIN_TOKEN": ServerProcess.adminToken])
        try await until("the command reads the feed") { !server.requests.isEmpty }
        process.send(.interrupt)
        #expect(try await process.status == .exited(0), "\(process.output)")
      }
    }

    @Test(.database) func `types that the feed does not record are told`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        _ = try await api.send("PUT", "/api/admin/event-feed", #"{"events":["order.*"]}"#)
        let process = ChildProcess(
          [
            "listen", "--forward", "http://127.0.0.1:1/", "--url", api.url, "--types", "order.paid,hold.*", "--turn-on",
          ], settings: ["ADMIN_TOKEN": ServerProcess.adminToken])
        let line = try await process.line(startingWith: "The feed does not record ")
        #expect(line.contains("record hold.expired, hold.placed, hold.released."))
        process.send(.interrupt)
        #expect(try await process.status == .exited(0), "\(process.output)")
      }
    }

    @Test(.database) func `without the feed, the command says how to turn it on`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let listen = ["listen", "--forward", "http://127.0.0.1:1/", "--url", servers[0].api.url]
        try await flashsale(listen, settings: ["ADMIN_TOKEN": ServerProcess.adminToken])
          .expectFailure(saying: "pass --turn-on")
        try await flashsale(listen).expectFailure(saying: "ADMIN_TOKEN is not set")
      }
    }

    @Test func `invalid options are usage errors`() async throws {
      let forward = ["--forward", "http://127.0.0.1:1/"]
      for arguments in [
        [], ["--forward", "127.0.0.1:3000"], forward + ["--types", "order.none"], forward + ["--types", "order.paid,"],
        forward + ["--secret", "whsec_?"],
      ] {
        try await flashsale(["listen"] + arguments).expectUsageError()
      }
    }
  }
}
