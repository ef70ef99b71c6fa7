import Foundation
import Subprocess
import Synchronization
import TestSupport
import Testing

/// A PgBouncer in transaction mode for one database, on a Unix socket. It can be ended, and started again there.
final class Pooler: Sendable {
  /// Debian installs it in a directory that is not in every user's PATH.
  private static let program = "/usr/sbin/pgbouncer"
  private static let port = 6432

  private let directory = temporaryDirectory()
  private let database: String
  private let process = Mutex<ChildProcess?>(nil)

  /// - Parameter database: the connection URI, with the directory of a socket as host.
  fileprivate init(to database: String) throws {
    self.database = database
    let address = try #require(URLComponents(string: database))
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    // A server sends its timeouts in the startup parameter `options`. PgBouncer refuses that parameter unless it has to
    // ignore it. The role's timeouts apply instead.
    try """
    [databases]
    * = host=\(#require(address.host?.removingPercentEncoding)) port=\(#require(address.port))
    [pgbouncer]
    listen_port = \(Self.port)
    unix_socket_dir = \(directory)
    auth_type = trust
    auth_file = \(directory)/users
    admin_users = flashsale
    pool_mode = transaction
    default_pool_size = 4
    server_login_retry = 1
    ignore_startup_parameters = options
    """.write(toFile: directory + "/pgbouncer.ini", atomically: true, encoding: .utf8)
    let users = ["flashsale", TestDatabases.serverRoleName].map { "\"\($0)\" \"\"\n" }.joined()
    try users.write(toFile: directory + "/users", atomically: true, encoding: .utf8)
    // PgBouncer refuses to run as root. PostgreSQL's user may enter the directory of PostgreSQL's socket.
    if geteuid() == 0 {
      try FileManager.default.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: directory)
    }
  }

  /// The same database, through the pooler.
  var url: String { url(of: String(database.split(separator: "/").last!)) }

  private func url(of database: String) -> String {
    "postgresql://flashsale@\(directory.replacing("/", with: "%2F")):\(Self.port)/\(database)"
  }

  /// Returns once PgBouncer accepts connections.
  func start() async throws {
    let process = ChildProcess(
      (geteuid() == 0 ? ["-u", "postgres"] : []) + [directory + "/pgbouncer.ini"], settings: [:], program: Self.program)
    self.process.withLock { $0 = process }
    try await eventually("PgBouncer is up") { process.output.contains("process up") }
  }

  func end(with signal: Signal) async throws {
    guard let process = process.withLock({ $0.take() }) else { return }
    process.send(signal)
    _ = try await process.status
  }

  /// Makes PgBouncer replace its connections to the database, each as soon as it is free.
  func reconnect() async throws {
    try await withPool(on: url(of: "pgbouncer")) { try await $0.run("reconnect") }
  }

  fileprivate func removeFiles() {
    try? FileManager.default.removeItem(atPath: directory)
  }
}

/// Runs `body` with a PgBouncer that accepts connections.
func withPooler(to database: String, _ body: (Pooler) async throws -> Void) async throws {
  let pooler = try Pooler(to: database)
  defer { pooler.removeFiles() }
  do {
    try await pooler.start()
    try await body(pooler)
  } catch {
    try? await pooler.end(with: .kill)
    throw error
  }
  try await pooler.end(with: .interrupt)
}
