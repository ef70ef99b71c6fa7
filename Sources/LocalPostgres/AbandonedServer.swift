import Glibc
import Logging

/// Stops a server that has outlived its owner and its supervisor, and removes its files.
///
/// Every process of a server inherits a locked descriptor of the data directory (see ``supervisorScript``). The lock is
/// free when all of them have ended, in this container or another.
enum AbandonedServer {
  /// Precondition: the caller has the directory's lock. So a server that still runs has no owner.
  ///
  /// - Throws: ``LocalPostgresError`` when a process still runs 45 s after the first signal; `CancellationError`.
  static func stop(in data: String, logger: Logger) async throws {
    guard let postmaster = PostmasterFile(inData: data) else { return }
    if try isInUse(data) {
      logger.notice("stopping a PostgreSQL server whose owner has ended", metadata: ["pid": "\(postmaster.process)"])
      try await stop(postmaster, on: data)
    }
    SocketDirectory.removeAbandoned(postmaster.socketDirectory)
    // PostgreSQL refuses to start while a process has the number in the file, even if it is another program's process.
    // Numbers are reused after a container restarts, and zombies keep theirs. So a stale file is removed. The file of
    // a PostgreSQL that was started by other means stays, and the new server fails with its own error.
    let isServer = commandLine(of: postmaster.process).first?.hasSuffix("postgres") ?? false
    if !isServer { unlink(PostmasterFile.path(inData: data)) }
  }

  private static func stop(_ postmaster: PostmasterFile, on data: String) async throws {
    for (signal, timeout) in [(SIGINT, Duration.seconds(30)), (SIGQUIT, .seconds(10)), (SIGKILL, .seconds(5))] {
      // Without a postmaster there is no process to signal: its children end by themselves.
      if postmaster.isRunning { kill(postmaster.process, signal) }
      let deadline = ContinuousClock.now + timeout
      while ContinuousClock.now < deadline {
        if try !isInUse(data) { return }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    throw LocalPostgresError("processes of an earlier PostgreSQL still use \(data): end them, and try again")
  }

  private static func isInUse(_ data: String) throws -> Bool {
    let number = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw LocalPostgresError(cannot: "open \(data)") }
    let directory = Descriptor(number)
    defer { directory.close() }
    if flock(number, LOCK_EX | LOCK_NB) == 0 {
      flock(number, LOCK_UN)
      return false
    }
    guard errno == EWOULDBLOCK else { throw LocalPostgresError(cannot: "lock \(data)") }
    return true
  }
}
