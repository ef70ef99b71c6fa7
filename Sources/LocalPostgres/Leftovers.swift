import Glibc
import Logging

/// Ends a server that survived both its owner and its supervisor, and clears what it left behind.
///
/// Every process of a server inherits a locked descriptor of the data directory (see ``supervisorScript``). So the
/// kernel knows whether any of them is left, in whatever container it may be.
enum Leftovers {
  /// The caller has the directory's lock, so whatever still runs on the data is nobody's.
  ///
  /// - Throws: ``LocalPostgresError`` when something does not end, 45 s after it was told to; `CancellationError`.
  static func stop(in data: String, logger: Logger) async throws {
    guard let postmaster = PostmasterFile(inData: data) else { return }
    if try isInUse(data) {
      logger.notice("stopping a PostgreSQL that lost its owner", metadata: ["pid": "\(postmaster.process)"])
      try await stop(postmaster, on: data)
    }
    SocketDirectory.removeAbandoned(postmaster.socketDirectory)
    // PostgreSQL refuses to start if there is a process of the number in the file. It need not be the one that wrote
    // it: in a restarted container the numbers begin anew, and in many nobody waits for those that have ended. A
    // server that somebody started by other means is left alone, to be complained of by ours.
    let isServer = commandLine(of: postmaster.process).first?.hasSuffix("postgres") ?? false
    if !isServer { unlink(PostmasterFile.path(inData: data)) }
  }

  private static func stop(_ postmaster: PostmasterFile, on data: String) async throws {
    for (signal, patience) in [(SIGINT, Duration.seconds(30)), (SIGQUIT, .seconds(10)), (SIGKILL, .seconds(5))] {
      // When only children of it are left, there is nobody to tell: each ends as soon as it notices.
      if postmaster.isRunning { kill(postmaster.process, signal) }
      let deadline = ContinuousClock.now + patience
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
