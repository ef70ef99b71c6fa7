import Subprocess
import Synchronization
import TestSupport
import Testing

/// A `flashsale serve` that can be ended, and started again on its port.
final class ServerProcess: Sendable {
  static let adminToken = "mark-of-the-admin-token"

  private let database: String
  private let settings: [String: String]
  private let arguments: [String]
  private let state = Mutex(State())

  private struct State {
    var process: ChildProcess?
    /// The system chooses it at the first start.
    var port = 0
    /// The output of the processes before this one.
    var earlierOutput = ""
  }

  /// - Parameters:
  ///   - settings: variables of the environment besides DATABASE_URL. One of them may be another ADMIN_TOKEN.
  init(database: String, settings: [String: String] = [:], arguments: [String] = ["--unsigned-webhooks"]) {
    self.database = database
    self.settings = settings
    self.arguments = arguments
  }

  var port: Int { state.withLock { $0.port } }
  var url: String { "http://127.0.0.1:\(port)" }
  var api: APIClient { APIClient(url: url) }

  /// The output of all its processes.
  var output: String { state.withLock { $0.earlierOutput + ($0.process?.output ?? "") } }

  /// Starts the server, and returns once it serves.
  func start() async throws {
    let process = launch()
    let line = try await process.line(startingWith: "flashsale serves on http://")
    let port = try #require(line.split(separator: ":").last.flatMap { Int($0) }, "\(line)")
    state.withLock { $0.port = port }
  }

  /// Starts the server, and returns once it accepts connections. It may not have its database yet.
  func startListening() async throws {
    launch()
    try await eventually("it listens") {
      guard let port = output.firstMatch(of: /address=http:\/\/127\.0\.0\.1:(\d+)/)?.output.1 else { return false }
      state.withLock { $0.port = Int(port) ?? 0 }
      return true
    }
  }

  @discardableResult
  private func launch() -> ChildProcess {
    let process = ChildProcess(
      ["serve", "--port", "\(port)"] + arguments,
      settings: settings.merging(["DATABASE_URL": database, "ADMIN_TOKEN": Self.adminToken]) { given, _ in given })
    state.withLock { $0.process = process }
    return process
  }

  /// Sends a signal, and waits for the end of the process.
  ///
  /// - Returns: how the process ended; nil if there is none.
  @discardableResult
  func end(with signal: Signal) async throws -> TerminationStatus? {
    guard let process = state.withLock({ $0.process }) else { return nil }
    process.send(signal)
    let status = try await process.status
    state.withLock { state in
      state.earlierOutput += process.output
      state.process = nil
    }
    return status
  }

  /// Sends a signal, and does not wait for its effect.
  func send(_ signal: Signal) {
    state.withLock { $0.process }?.send(signal)
  }
}

/// Runs `body` with servers on one database. Afterwards it ends them with SIGTERM, or with SIGKILL if `body` threw.
func withServers(
  _ count: Int, on database: String, settings: [String: String] = [:], arguments: [String] = ["--unsigned-webhooks"],
  _ body: ([ServerProcess]) async throws -> Void
) async throws {
  let servers = (0..<count).map { _ in
    ServerProcess(database: TestDatabases.serverURL(database), settings: settings, arguments: arguments)
  }
  do {
    try await onAll(servers) { try await $0.start() }
    try await body(servers)
  } catch {
    try? await onAll(servers) { try await $0.end(with: .kill) }
    for server in servers { print("output of a server:\n\(server.output)") }
    throw error
  }
  try await onAll(servers) { server in
    if let status = try await server.end(with: .terminate) {
      #expect(status == .exited(0), "\(server.output)")
    }
  }
}

func onAll(_ servers: [ServerProcess], _ body: @escaping @Sendable (ServerProcess) async throws -> Void) async throws {
  try await withThrowingDiscardingTaskGroup { group in
    for server in servers { group.addTask { try await body(server) } }
  }
}
