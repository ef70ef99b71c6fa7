import Foundation
import LocalPostgres
import Logging
import Subprocess
import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct DemoTests {
    @Test func `demo sells, stops without remains and finds its data again`() async throws {
      try await withWorkingDirectory { directory in
        let first = ChildProcess(["demo", "--port", "0"], settings: [:], directory: directory)
        let (api, sockets) = try await Self.welcome(first)
        #expect(try await api.product(1).availableStock == 100)
        try await Self.expectLoopbackNamesOnly(api)
        #expect(first.output.contains("Open \(api.url) in a browser"))
        #expect(try await api.send("GET", "/p/1").status == 200)
        let settings = try await api.send("GET", "/assets/settings.js")
        #expect(String(buffer: settings.body).contains("playsProvider = true"))
        let hold = try await api.reserve(2, of: 1)
        #expect(hold.status == 201, "\(hold)")
        let bought = try hold.decode(APIClient.Hold.self)
        #expect(try await api.order(bought.holdId).status == 201)
        #expect(try await api.pay(bought.orderID, key: "pay-1").decode(APIClient.Payment.self).verdict == "applied")
        #expect(try Self.processes(mentioning: sockets) > 0)

        // The secret that demo prints signs events of Stripe.
        let secret = try #require(first.output.firstMatch(of: /STRIPE_WEBHOOK_SECRETS=(whsec_[0-9a-f]{32})/)?.output.1)
        let refund = try await flashsale(
          ["pay", bought.orderID, "--as", "stripe", "--key", "pi_2", "--url", api.url],
          settings: ["STRIPE_WEBHOOK_SECRETS": String(secret)])
        #expect(refund.output.count { $0.contains("refund_due") } == 2, "\(refund)")

        // The same directory in another spelling.
        let second = try await flashsale(["demo", "--port", "0", "--data-dir", "\(directory)/.flashsale"])
        second.expectFailure(saying: "is in use by process")

        first.send(.interrupt)
        #expect(try await first.status == .exited(0), "\(first.output)")
        #expect(try Self.processes(mentioning: sockets) == 0)
        #expect(!FileManager.default.fileExists(atPath: sockets))

        let third = ChildProcess(["demo", "--port", "0"], settings: [:], directory: directory)
        let (again, _) = try await Self.welcome(third)
        #expect(try await again.product(1).availableStock == 98)
        let order = try await again.send("GET", "/api/orders/\(bought.orderID)").decode(APIClient.Order.self)
        #expect(order.status == "paid" && order.quantity == 2)
        third.send(.terminate)
        #expect(try await third.status == .exited(0), "\(third.output)")
      }
    }

    @Test func `a bad setting stops demo before it creates a database`() async throws {
      try await withWorkingDirectory { directory in
        for settings in [
          ["LOG_LEVEL": "loud"], ["HOLD_TTL_SECONDS": "soon"], ["WEBHOOK_SECRETS": "nonsense"],
          ["STRIPE_WEBHOOK_SECRETS": "nonsense"],
        ] {
          let result = try await flashsale(["demo", "--port", "0"], settings: settings, directory: directory)
          result.expectFailure(saying: settings.first!.key)
        }
        try await flashsale(["demo", "--port", "70000"], directory: directory).expectFailure(saying: "PORT")
        #expect(!FileManager.default.fileExists(atPath: directory + "/.flashsale"))
      }
    }

    @Test func `demo refuses a private database that is not UTF-8`() async throws {
      try await withWorkingDirectory { directory in
        let quiet = Logger(label: "postgres") { _ in SwiftLogNoOpLogHandler() }
        try await LocalPostgres.withServer(directory: directory + "/.flashsale", logger: quiet) { server in
          try await withPool(on: server.databaseURL("postgres")) {
            try await $0.run("drop database flashsale")
            try await $0.run("create database flashsale encoding 'SQL_ASCII' locale 'C' template template0")
          }
        }
        let result = try await flashsale(["demo", "--port", "0"], directory: directory)
        #expect(result.status == .exited(1), "\(result)")
        #expect(result.errors.last?.contains("its encoding is SQL_ASCII, not UTF8") == true, "\(result)")
      }
    }

    /// Reads the demo's address and the directory of its database's socket from the output.
    private static func welcome(_ process: ChildProcess) async throws -> (APIClient, sockets: String) {
      let prefix = "flashsale serves on "
      let url = try await process.line(startingWith: prefix).dropFirst(prefix.count)
      let psql = try await process.line(startingWith: "  psql 'postgresql://flashsale@")
      let host = psql.split(separator: "@")[1].split(separator: ":")[0]
      return (APIClient(url: String(url)), try #require(host.removingPercentEncoding))
    }

    /// The DNS name of a foreign page can point to 127.0.0.1. Requests of that page have its name as their host.
    private static func expectLoopbackNamesOnly(_ api: APIClient) async throws {
      let port = try #require(api.url.split(separator: ":").last.flatMap { Int($0) })
      for (host, status) in [
        ("evil.example", 421), ("evil.example:\(port)", 421), ("127.0.0.1.evil.example", 421),
        ("localhost:\(port)", 200),
        ("127.0.0.1", 200), ("[::1]:\(port)", 200),
      ] as [(String, UInt)] {
        try await RawConnection.with(port: port) { connection in
          try await connection.send("GET /api/products/1 HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8)
          let answer = try await connection.answer()
          #expect(
            answer.status == status && (status == 200 || answer.problem == "misdirected-request"), "\(host): \(answer)")
        }
      }
    }

    /// The number of processes with this text in their command line.
    private static func processes(mentioning text: String) throws -> Int {
      try FileManager.default.contentsOfDirectory(atPath: "/proc").count { name in
        guard Int(name) != nil, let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else {
          return false
        }
        return String(decoding: line, as: UTF8.self).contains(text)
      }
    }
  }
}

/// Runs `body` with an empty directory.
func withWorkingDirectory(_ body: (String) async throws -> Void) async throws {
  let directory = temporaryDirectory()
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: directory) }
  try await body(directory)
}
