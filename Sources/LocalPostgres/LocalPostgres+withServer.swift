import Logging

extension LocalPostgres {
  /// How long a server may take until it accepts connections: initdb, or the replay of what a crash left behind.
  private static let startTimeout = Duration.seconds(120)

  /// Starts a server, runs `body` with it, stops it, and returns once all its processes are gone: also when `body`
  /// throws and when the surrounding task is cancelled.
  ///
  /// A new directory gets a cluster (UTF-8, locale C) first. The database `flashsale` exists when `body` runs.
  ///
  /// - Parameters:
  ///   - directory: where the data (`data`), the server's log (`postgres.log`) and the lock are. Created when
  ///     missing; a relative path is taken from the working directory.
  ///   - ephemeral: removes the directory afterwards, even when this process was killed; it must be new or empty.
  ///   - settings: configuration parameters by name, as in postgresql.conf.
  ///   - logger: told of start and stop.
  ///   - body: cancelled when the server ends under it.
  /// - Throws: what `body` throws; `CancellationError` when cancelled before `body` ran; ``LocalPostgresError`` when
  ///   PostgreSQL is not installed, another process uses the directory, the server does not start (within 2
  ///   minutes), or it ends while `body` runs.
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
    if ephemeral { try directory.requireNothingButLock() }
    try await Leftovers.stop(in: directory.data, logger: logger)

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
      // A body that lost its connections may have failed before anyone could tell it why.
      let what = isReady ? "PostgreSQL ended while it was in use" : "PostgreSQL did not start"
      throw LocalPostgresError("\(what) (\(end)); its log ends with: \(log.complaint() ?? "nothing")")
    case .failure(let error):
      throw error
    }
  }

  /// Creates the database `flashsale` unless it is there.
  private func createDatabase(binaries: Binaries) async throws {
    // psql runs what the query returns: nothing, or one statement.
    try await binaries.psql(
      databaseURL("postgres"),
      """
      select 'create database \(Self.name)'
       where not exists (select from pg_database where datname = '\(Self.name)') \\gexec
      """)
  }
}
