import Glibc
import Logging
import Subprocess

/// The child process that runs the server, stops it, and removes its files: a shell with ``supervisorScript``.
///
/// The supervisor stops the server at the end of the stop pipe. This process is the pipe's only writer. So the kernel
/// ends the pipe when this process crashes or is killed, and the server stops as after a normal end.
///
/// The supervisor's output pipe ends when the server has ended, because only the server's processes keep it open.
///
/// The supervisor has its own session. Ctrl-C signals the terminal's whole foreground group, and the database must stop
/// after its clients.
struct Supervisor: Sendable {
  /// The end of the supervisor. Its exit status is the server's: 0 after an orderly stop.
  enum End: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(Int32)
    case notStarted(String)

    var description: String {
      switch self {
      case .exited(let status) where status > 128: "signal \(status - 128)"  // The shell adds 128 to the signal.
      case .exited(let status): "status \(status)"
      case .killed(let signal): "its supervisor got signal \(signal)"
      case .notStarted(let reason): reason
      }
    }
  }

  /// The write end of the stop pipe. Closing it stops the server. It is also closed when the server has ended.
  private let stopPipe: Descriptor
  private let end: Task<End, Never>

  /// Starts the supervisor. It removes the socket directory at its end, and an ephemeral server's directory.
  ///
  /// - Throws: ``LocalPostgresError`` when the stop pipe cannot be created.
  init(_ plan: ServerPlan, lock: DirectoryLock, logger: Logger) throws {
    // The stop pipe is a pair of sockets, because Swift does not see Glibc's pipe2. The descriptors must be
    // close-on-exec from the start. Otherwise another child could inherit the write end and keep the server alive.
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw LocalPostgresError(cannot: "create a pair of sockets")
    }
    let (readEnd, stopPipe) = (ends[0], Descriptor(ends[1]))
    self.stopPipe = stopPipe
    // An unstructured task: when the parent task is cancelled, the server must run until its clients have finished.
    end = Task {
      let end = await Self.run(plan, stopPipe: stopPipe, readEnd: readEnd, lock: lock)
      stopPipe.close()
      if case .exited = end { return end }
      await Self.cleanUp(plan, logger: logger)
      return end
    }
  }

  private static func run(
    _ plan: ServerPlan, stopPipe: Descriptor, readEnd: Int32, lock: DirectoryLock
  ) async -> End {
    guard let lock = lock.descriptor else { preconditionFailure("the lock is released") }
    var options = PlatformOptions()
    options.createSession = true
    do {
      // The script is an environment variable, so `ps` shows a short command line.
      let result = try await Subprocess.run(
        .name("sh"), arguments: Arguments(["-c", "eval \"$SUPERVISOR\"", "flashsale-postgres"] + plan.arguments),
        environment: plan.binaries.environment.updating(["SUPERVISOR": supervisorScript]), workingDirectory: "/",
        platformOptions: options,
        input: .fileDescriptor(.init(rawValue: readEnd), closeAfterSpawningProcess: true),
        output: .sequence,
        error: .fileDescriptor(.init(rawValue: lock), closeAfterSpawningProcess: false)
      ) { execution in
        // The output is always empty. It ends with the last process of the server. An error counts as the end.
        do { for try await _ in execution.standardOutput {} } catch {}
        stopPipe.close()
      }
      switch result.terminationStatus {
      case .exited(let status): return .exited(status)
      case .signaled(let signal): return .killed(signal)
      }
    } catch {
      return .notStarted("\(error)")
    }
  }

  /// Stops the server and removes its files after the supervisor was killed or failed to start.
  private static func cleanUp(_ plan: ServerPlan, logger: Logger) async {
    do {
      try await AbandonedServer.stop(in: plan.directory.data, logger: logger)
      let directories = [plan.socketDirectory] + (plan.isEphemeral ? [plan.directory.path] : [])
      _ = try await Subprocess.run(.name("rm"), arguments: Arguments(["-rf", "--"] + directories), output: .discarded)
    } catch {
      logger.error("could not clean up after PostgreSQL", metadata: ["error": "\(error)"])
    }
  }

  /// Waits until the server accepts connections.
  ///
  /// - Throws: ``ServerEnded`` when it ends first; ``LocalPostgresError`` after `timeout`; `CancellationError`.
  func waitUntilReady(_ plan: ServerPlan, within timeout: Duration) async throws {
    let deadline = ContinuousClock.now + timeout
    while ContinuousClock.now < deadline {
      guard stopPipe.raw != nil else { throw ServerEnded() }
      // A killed server leaves a file, too. Its socket directory differs.
      if let file = PostmasterFile(inData: plan.directory.data), file.socketDirectory == plan.socketDirectory,
        file.status == "ready"
      {
        return
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw LocalPostgresError("PostgreSQL was not ready within \(timeout): see \(plan.directory.log)")
  }

  /// Runs `body`, and cancels it when the server ends. Afterwards the supervisor has ended.
  ///
  /// - Throws: ``ServerEnded`` when the server ends before `body`; otherwise the error of `body`.
  func whileServing<Success: Sendable>(_ body: @escaping @Sendable () async throws -> Success) async throws -> Success {
    try await withThrowingTaskGroup(of: Success?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        _ = await end.value
        return nil
      }
      guard let first = await group.nextResult() else { preconditionFailure("the group has two tasks") }
      if case .success(nil) = first {
        group.cancelAll()
        _ = await group.nextResult()
        throw ServerEnded()
      }
      await stop()
      guard let success = try first.get() else { preconditionFailure("nil was handled above") }
      return success
    }
  }

  /// Stops the server and waits for the end of the supervisor: usually tenths of a second, 45 s at most.
  /// Cancellation does not shorten the wait.
  @discardableResult
  func stop() async -> End {
    stopPipe.close()
    return await end.value
  }
}

/// The server ended while it was in use.
struct ServerEnded: Error {}
