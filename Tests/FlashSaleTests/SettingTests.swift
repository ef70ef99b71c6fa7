import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// Settings in the forms in which operators and orchestrators pass them.
  @Suite struct SettingTests {
    private static let secret = "whsec_" + Data("a secret of the provider's".utf8).base64EncodedString()

    /// Editors end a file with a line break, and shells keep what was pasted.
    @Test(.database) func `white space around a value is ignored`() async throws {
      let url = TestDatabase.url
      let settings = [
        "DATABASE_URL": " \(TestDatabases.serverURL(url))\n", "PORT": " 0 ", "LOG_LEVEL": "info\r\n",
        "WEBHOOK_SECRETS": " \(Self.secret) ,\t\(Self.secret)\n", "ADMIN_TOKEN": "\(ServerProcess.adminToken)\n",
      ]
      try await Self.expectToServe(settings)
    }

    @Test(.database) func `each secret can be read from a file`() async throws {
      let url = TestDatabase.url
      try await withFiles([
        "DATABASE_URL_FILE": TestDatabases.serverURL(url), "LISTEN_DATABASE_URL_FILE": TestDatabases.serverURL(url),
        "WEBHOOK_SECRETS_FILE": Self.secret, "ADMIN_TOKEN_FILE": ServerProcess.adminToken,
        "METRICS_TOKEN_FILE": "the-token-of-the-monitor", "OTEL_EXPORTER_OTLP_ENDPOINT_FILE": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS_FILE": "a=b", "CHECKOUT_URL_FILE": "https://pay.example.com/start",
        "CUSTOMER_TOKEN_KEYS_FILE": CustomerTokenSigner().setting,
        "STRIPE_WEBHOOK_SECRETS_FILE": "whsec_0123456789abcdef, whsec_fedcba9876543210",
      ]) { files in
        try await Self.expectToServe(files.merging(["PORT": "0"]) { $1 })
        let flags = files.flatMap { name, path in ["--" + name.lowercased().replacing("_", with: "-"), path] }
        try await Self.expectToServe([:], arguments: ["--port", "0"] + flags)
        // Other commands accept the flag, too.
        try await flashsale(["audit", "--database-url-file", files["DATABASE_URL_FILE"]!]).expectSuccess()
      }
    }

    /// Bash passes `<(command)` as a pipe, which can be read only once.
    @Test(.database) func `the file of a secret may be a pipe`() async throws {
      let url = TestDatabase.url
      let script = """
        exec "$0" audit --database-url-file <(printf '%s\\n' "$URL")
        """
      let process = ChildProcess(
        ["-c", script, FlashSaleExecutable.path], settings: ["URL": url], program: "/bin/bash")
      let status = try await process.status
      #expect(status == .exited(0), "\(process.output)")
    }

    @Test func `a secret that is set twice is refused in one line`() async throws {
      try await withFiles(["ADMIN_TOKEN_FILE": ServerProcess.adminToken]) { files in
        let settings = files.merging(["ADMIN_TOKEN": ServerProcess.adminToken, "DATABASE_URL": "postgresql://"]) { $1 }
        try await flashsale(["serve", "--unsigned-webhooks"], database: "postgresql://", settings: settings)
          .expectFailure(saying: "ADMIN_TOKEN and ADMIN_TOKEN_FILE are both set")
      }
    }

    @Test(.database) func `unsigned payment events on a public address log a warning`() async throws {
      let url = TestDatabase.url
      let warning = "payment events are accepted unsigned"
      for (host, isWarned) in [("127.0.0.1", false), ("localhost", false), ("0.0.0.0", true)] {
        let server = ServerProcess(
          database: TestDatabases.serverURL(url), settings: ["HOST": host])
        try await server.start()
        #expect(server.output.contains(warning) == isWarned, "\(host): \(server.output)")
        #expect(try await server.end(with: .terminate) == .exited(0))
      }
      let signed = ServerProcess(
        database: TestDatabases.serverURL(url), settings: ["HOST": "0.0.0.0", "WEBHOOK_SECRETS": Self.secret])
      try await signed.start()
      #expect(!signed.output.contains(warning))
      try await signed.end(with: .terminate)
    }

    private static func expectToServe(_ settings: [String: String], arguments: [String] = []) async throws {
      let process = ChildProcess(["serve"] + arguments, settings: settings)
      let line = try await process.line(startingWith: "flashsale serves on ")
      let api = APIClient(url: String(try #require(line.split(separator: " ").last)))
      #expect(try await api.invariants().status == 200)
      #expect(
        try await api.pay("order_00000001000000000000000000000000", key: "k").status == 401,
        "unsigned events are refused")
      process.send(.terminate)
      #expect(try await process.status == .exited(0), "\(process.output)")
    }
  }
}

/// Runs `body` with the paths of files that have these names and texts. Each text gets a line break at its end.
private func withFiles(
  _ texts: [String: String], _ body: ([String: String]) async throws -> Void
) async throws {
  let directory = temporaryDirectory()
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: directory) }
  var paths: [String: String] = [:]
  for (name, text) in texts {
    let path = directory + "/" + name
    try (text + "\n").write(toFile: path, atomically: false, encoding: .utf8)
    paths[name] = path
  }
  try await body(paths)
}
