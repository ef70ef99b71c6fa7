import Glibc
import Logging

/// A private PostgreSQL server that runs while a closure runs.
///
/// The server keeps its data in the caller's directory. It listens on no TCP port, only on a Unix socket. Only its
/// operating system user and root can open the socket. The server is as durable as PostgreSQL is by default. It stops
/// when the process that started it ends, even by SIGKILL.
///
/// ```swift
/// try await LocalPostgres.withServer(directory: ".flashsale", logger: logger) { server in
///   try await connect(to: server.databaseURL())
/// }
/// ```
package struct LocalPostgres: Sendable {
  /// The name of the database that every server has, and of the role that owns it.
  static let name = "flashsale"

  /// PostgreSQL names its socket after the port, even without a TCP listener.
  static let port = 5432

  /// Absolute path of the directory with the server's socket.
  let socketDirectory: String

  /// The libpq connection URI of a database of this server, over its Unix socket.
  ///
  /// The URI names host, port and user, so no `PG…` environment variable can redirect it.
  ///
  /// - Parameter database: the database's name, not yet percent-encoded. The database need not exist.
  package func databaseURL(_ database: String = "flashsale") -> String {
    "postgresql://\(Self.name)@\(percentEncoded(socketDirectory)):\(Self.port)/\(percentEncoded(database))"
  }
}

extension LocalPostgres {
  /// The longest wait until a server accepts connections, with initdb or crash recovery.
  private static let startTimeout = Duration.seconds(120)

  /// Starts a server, runs `body` with it, and stops it.
  ///
  /// When this function returns or throws, all processes of the server have ended. This also holds when the surrounding
  /// task is cancelled. In a new directory, initdb first creates a cluster (UTF-8, locale C). The database `flashsale`
  /// exists when `body` starts.
  ///
  /// - Parameters:
  ///   - directory: contains the data (`data`), the server's log (`postgres.log`) and the lock. It is created if
  ///     missing. A relative path starts at the working directory.
  ///   - ephemeral: removes the directory afterwards, even if this process is killed. The directory must be new or
  ///     empty.
  ///   - settings: configuration parameters by name, as in postgresql.conf.
  ///   - logger: logs the start and the stop.
  ///   - body: is cancelled if the server ends while it runs.
  /// - Throws: the error of `body`; `CancellationError` when cancelled before `body` ran; ``LocalPostgresError`` when
  ///   PostgreSQL is not installed, another process uses the directory, the server does not start within 2 minutes, or
  ///   it ends while `body` runs.
  package static func withServer<Result: Sendable>(
    directory: String,
    ephemeral: Bool = false,
    settings: [String: String] = [:],
    logger: Logger,
    body: @Sendable (LocalPostgres) async throws -> Result
  ) async throws -> Result {
    let directory = try ServerDirectory(directory)
    let binaries = try Binaries.find(forData: directory.data)
    let lock = try await DirectoryLock.acquire(directory)
    defer { lock.release() }
    if ephemeral { try directory.requireEmptyExceptLock() }
    try await AbandonedServer.stop(in: directory.data, logger: logger)

    let log = try ServerLog(path: directory.log)
    let owner = try DatabaseOwner.find(forData: directory.data)
    let plan = ServerPlan(
      directory: directory, isEphemeral: ephemeral, socketDirectory: try SocketDirectory.make(owner: owner),
      owner: owner, binaries: binaries, settings: settings)
    let supervisor = try Supervisor(plan, lock: lock, logger: logger)
    let server = LocalPostgres(socketDirectory: plan.socketDirectory)

    var isReady = false
    let outcome: Swift.Result<Result, any Error>
    do {
      try await supervisor.waitUntilReady(plan, within: startTimeout)
      try await server.createDatabase(binaries: binaries)
      isReady = true
      logger.info("PostgreSQL started", metadata: ["directory": "\(directory.path)"])
      let result = try await withoutActuallyEscaping(body) { body in
        try await supervisor.whileServing { try await body(server) }
      }
      outcome = .success(result)
    } catch {
      outcome = .failure(error)
    }

    let end = await supervisor.stop()
    let wasOrderly = end == .exited(0)
    logger.log(
      level: wasOrderly ? .info : .warning, "PostgreSQL stopped",
      metadata: ["directory": "\(directory.path)", "end": "\(end)"])
    switch outcome {
    case .success(let result):
      return result
    case .failure(let error) where error is CancellationError || error is LocalPostgresError:
      throw error
    case .failure(let error) where error is ServerEnded || !wasOrderly:
      // If the server failed, the error of `body` may be a lost connection. The server's end is its cause.
      let what = isReady ? "PostgreSQL ended while it was in use" : "PostgreSQL did not start"
      throw LocalPostgresError("\(what) (\(end)); its log ends with: \(log.complaint() ?? "nothing")")
    case .failure(let error):
      throw error
    }
  }

  /// Creates the database `flashsale` unless it exists.
  private func createDatabase(binaries: Binaries) async throws {
    // `\gexec` runs the query's result: no row, or one statement.
    try await binaries.psql(
      databaseURL("postgres"),
      """
      select 'create database \(Self.name)'
       where not exists (select from pg_database where datname = '\(Self.name)') \\gexec
      """)
  }
}

/// A private server failed to start, or ended too early. The description is one line: the cause, and what to do.
package struct LocalPostgresError: Error, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }

  /// A failed system call. Create it directly after the call, because it reads `errno`.
  init(cannot action: String) {
    self.init("cannot \(action): \(String(cString: strerror(errno)))")
  }
}

/// Encodes all but the unreserved characters of RFC 3986, as libpq requires for each part of a URI
/// (libpq, "Connection URIs").
private func percentEncoded(_ text: String) -> String {
  var encoded = ""
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"):
      encoded.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      encoded += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
    }
  }
  return encoded
}
