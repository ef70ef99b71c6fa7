import Hummingbird
import Logging

/// Runs an HTTP server on a free port while `body` runs.
///
/// - Parameter body: receives the base URL, without a path.
func withLocalServer(
  _ router: Router<BasicRequestContext>, _ body: @escaping @Sendable (_ url: String) async throws -> Void
) async throws {
  let (ports, listening) = AsyncStream.makeStream(of: Int.self)
  var logger = Logger(label: "local server")
  logger.logLevel = .critical
  let application = Application(
    router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
    onServerRunning: { listening.yield($0.localAddress?.port ?? 0) }, logger: logger)
  try await withThrowingTaskGroup { group in
    group.addTask { try await application.run() }
    for await port in ports {
      group.addTask { try await body("http://127.0.0.1:\(port)") }
      break
    }
    defer { group.cancelAll() }
    try await group.next()
  }
}
