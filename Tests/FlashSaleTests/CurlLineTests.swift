import Foundation
import Subprocess
import TestSupport
import Testing
import Yams

extension FlashSaleTests {
  /// The curl lines of the page `/docs`, which send the examples of the OpenAPI document.
  @Suite struct CurlLineTests {
    /// The digits of the ids of holds and orders in the examples.
    private static let exampleDigits = "000000016b038082a7b67565b6762b58"
    private static let exampleEndpoint = "we_4b1f0c4e8d2a4f7e9a3c5d6e7f801234"
    private static let exampleEvent = "evt_000000015c0e7a4d9b2f6a8103e5c7d9"

    @Test(.database) func `each curl line of the page succeeds, with the ids of real responses`() async throws {
      let settings = ServerProcess.privateEndpoints.merging(["PAGES": "true"]) { $1 }
      try await withServers(1, on: TestDatabase.url, settings: settings) { servers in
        let api = servers[0].api
        let lines = try await Self.lines(api)
        let statuses = try await Self.successStatuses(api)
        #expect(lines.map(\.operation).sorted() == statuses.keys.sorted() && lines.count > 15)
        var digits = Self.exampleDigits
        var endpoint = Self.exampleEndpoint
        var event = Self.exampleEvent

        /// Runs the line of an operation, and remembers the id of a hold, an endpoint or an event in its response.
        func run(_ operation: String, key: String = "pay-1") async throws {
          let line = try #require(lines.first { $0.operation == operation }?.text, "\(operation)")
          let command = line.replacingOccurrences(of: Self.exampleDigits, with: digits)
            .replacingOccurrences(of: "pay-1", with: key)
            .replacingOccurrences(of: "fsk_0123456789", with: ServerProcess.adminToken)
            .replacingOccurrences(of: Self.exampleEndpoint, with: endpoint)
            .replacingOccurrences(of: Self.exampleEvent, with: event)
            // Nothing listens there, and there is no name to look up.
            .replacingOccurrences(of: "https://shop.example/", with: "http://127.0.0.1:1/")
          let (status, body) = try await Self.shell(command, server: api.url)
          #expect(status == statuses[operation], "\(command)\n\(body)")
          let members = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
          if operation == "placeHold", let hold = members?["hold_id"] as? String {
            digits = String(hold.dropFirst("hold_".utf8.count))
          }
          if operation == "createWebhookEndpoint", let id = members?["id"] as? String { endpoint = id }
          if operation == "testWebhookEndpoint", let id = members?["event_id"] as? String { event = id }
        }

        // The other lines need the product with the id 1.
        try await run("createProduct")
        for line in lines {
          switch line.operation {
          // Stripe's signature depends on the time.
          case "receiveStripeEvent": continue
          // The line before has released the hold.
          case "placeOrder": try await run("placeHold")
          // The money of a second payment has to be refunded.
          case "settleRefund": try await run("receivePaymentEvent", key: "pay-2")
          // The line before has deleted the endpoint.
          case "rotateWebhookSecret": try await run("createWebhookEndpoint")
          default: break
          }
          try await run(line.operation)
        }
        try await expectCleanAudit(TestDatabase.url)
      }
    }

    /// The lines in the order of the page, as a reader copies them.
    private static func lines(_ api: APIClient) async throws -> [(operation: String, text: String)] {
      let page = String(buffer: try await api.send("GET", "/docs").body)
      let pattern =
        /<section class="call" id="(\w+)">(?:(?!<section)[\s\S])*?<pre class="curl"><code>([\s\S]*?)<\/code>/
      return page.matches(of: pattern).map { match in
        var text = String(match.output.2.replacing(/<[^>]*>/, with: ""))
        for (reference, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
          text = text.replacingOccurrences(of: reference, with: character)
        }
        return (String(match.output.1), text)
      }
    }

    /// The first status of success, by operation.
    private static func successStatuses(_ api: APIClient) async throws -> [String: String] {
      let text = String(buffer: try await api.send("GET", "/openapi.yaml").body)
      let document = try #require(try Yams.load(yaml: text) as? [String: Any])
      let paths = try #require(document["paths"] as? [String: [String: Any]])
      let operations = paths.values.flatMap(\.values).compactMap { $0 as? [String: Any] }
      return try Dictionary(
        uniqueKeysWithValues: operations.map { operation in
          let responses = try #require(operation["responses"] as? [String: Any])
          return (
            try #require(operation["operationId"] as? String),
            try #require(responses.keys.filter { $0.hasPrefix("2") }.min())
          )
        })
    }

    /// Runs a command in a shell, against another server than the page says.
    ///
    /// - Returns: the status and the body of the response.
    private static func shell(_ command: String, server: String) async throws -> (status: String, body: String) {
      let line = command.replacingOccurrences(of: "http://127.0.0.1:8080", with: server)
      // A stream has no end, so curl stops reading.
      let result = try await Subprocess.run(
        .name("sh"), arguments: ["-c", line + " -sS --max-time 5 -w '\\n%{http_code}'"],
        environment: .inherit.updating(["ADMIN_TOKEN": ServerProcess.adminToken]),
        output: .string(limit: 1 << 20), error: .string(limit: 1 << 16))
      let parts = result.standardOutput.split(separator: "\n", omittingEmptySubsequences: false)
      return (parts.last.map(String.init) ?? "", parts.dropLast().joined(separator: "\n") + result.standardError)
    }
  }
}
