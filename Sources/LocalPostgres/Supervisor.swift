import Glibc
import Logging
import Subprocess

/// Thrown to whoever needs a server that has ended.
struct ServerEnded: Error {}

/// The child that runs the server, stops it, and cleans up: a shell that lives until both are done.
///
/// It is told to stop by the end of a pipe whose only writer we are. So the kernel gives that order when we cannot:
/// after a crash or SIGKILL the server is stopped exactly as after a normal end.
///
/// It tells us that the server has ended by the end of another pipe, which only the server's processes hold.
/// It has a session of its own: Ctrl-C reaches a terminal's whole foreground group, and the database is the last
/// that may stop.
struct Supervisor: Sendable {
  /// How the supervisor ended. It exits as the server does: with 0 after an orderly stop.
  enum End: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(Int32)
    case notStarted(String)

    var description: String {
      switch self {
      case .exited(let status) where status > 128: "signal \(status - 128)"  // as a shell tells it
      case .exited(let status): "status \(status)"
      case .killed(let signal): "its supervisor got signal \(signal)"
      case .notStarted(let reason): reason
      }
    }
  }

  /// Open while the server is wanted and, as far as we know, runs.
  private let orders: Descriptor
  private let end: Task<End, Never>

  /// Starts the supervisor, which at once takes charge of the socket's directory, and of an ephemeral server's.
  ///
  /// - Throws: ``LocalPostgresError`` when there are no descriptors left.
  init(_ plan: ServerPlan, lock: DirectoryLock, logger: Logger) throws {
    // A pair of sockets serves as the pipe: Glibc's pipe2 is not visible to Swift, and a descriptor that is not
    // close-on-exec from its first moment may slip into another child, which would then keep the server alive.
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw LocalPostgresError(cannot: "create a pair of sockets")
    }
    let (ordersRead, orders) = (ends[0], Descriptor(ends[1]))
    self.orders = orders
    // Not a child task: a cancelled parent must not take the server from under those who still finish.
    end = Task {
      let end = await Self.run(plan, orders: orders, ordersRead: ordersRead, lock: lock)
      orders.close()
      if case .exited = end { return end }
      await Self.standIn(plan, logger: logger)
      return end
    }
  }

  private static func run(
    _ plan: ServerPlan, orders: Descriptor, ordersRead: Int32, lock: DirectoryLock
  ) async -> End {
    guard let lock = lock.descriptor else { preconditionFailure("a released lock protects nothing") }
    var options = PlatformOptions()
    options.createSession = true
    do {
      // The script travels in the environment, so that `ps` shows one line.
      let result = try await Subprocess.run(
        .name("sh"), arguments: Arguments(["-c", "eval \"$SUPERVISOR\"", "flashsale-postgres"] + plan.arguments),
        environment: plan.binaries.environment.updating(["SUPERVISOR": supervisorScript]), workingDirectory: "/",
        platformOptions: options,
        input: .fileDescriptor(.init(rawValue: ordersRead), closeAfterSpawningProcess: true),
        output: .sequence,
        error: .fileDescriptor(.init(rawValue: lock), closeAfterSpawningProcess: false)
      ) { execution in
        // Nothing is ever written. It ends with the last of the server's processes, and fails with the supervisor.
        do { for try await _ in execution.standardOutput {} } catch {}
        orders.close()
      }
      switch result.terminationStatus {
      case .exited(let status): return .exited(status)
      case .signaled(let signal): return .killed(signal)
      }
    } catch {
      return .notStarted("\(error)")
    }
  }

  /// Does what a supervisor that was killed, or could not be started, left undone.
  private static func standIn(_ plan: ServerPlan, logger: Logger) async {
    do {
      try await Leftovers.stop(in: plan.directory.data, logger: logger)
      let remains = [plan.socketDirectory] + (plan.isEphemeral ? [plan.directory.path] : [])
      _ = try await Subprocess.run(.name("rm"), arguments: Arguments(["-rf", "--"] + remains), output: .discarded)
    } catch {
      logger.error("could not clean up after PostgreSQL", metadata: ["error": "\(error)"])
    }
  }

  /// Returns when the server accepts connections.
  ///
  /// - Throws: ``ServerEnded``; ``LocalPostgresError`` after `timeout`; `CancellationError`.
  func waitUntilReady(_ plan: ServerPlan, within timeout: Duration) async throws {
    let deadline = ContinuousClock.now + timeout
    while ContinuousClock.now < deadline {
      guard orders.raw != nil else { throw ServerEnded() }
      // The socket's directory tells our server's file from one that a killed predecessor left.
      if let file = PostmasterFile(inData: plan.directory.data), file.socketDirectory == plan.socketDirectory,
        file.status == "ready"
      {
        return
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw LocalPostgresError("PostgreSQL was not ready within \(timeout): see \(plan.directory.log)")
  }

  /// Runs `body`, and cancels it when the server ends. Either way the supervisor has ended afterwards.
  ///
  /// - Throws: ``ServerEnded`` when the server ended first; what `body` throws.
  func whileServing<Success: Sendable>(_ body: @escaping @Sendable () async throws -> Success) async throws -> Success {
    try await withThrowingTaskGroup(of: Success?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        _ = await end.value
        return nil
      }
      guard let first = await group.nextResult() else { preconditionFailure("two tasks have just been added") }
      if case .success(nil) = first {
        group.cancelAll()
        _ = await group.nextResult()
        throw ServerEnded()
      }
      await stop()
      guard let success = try first.get() else { preconditionFailure("nil has been told apart above") }
      return success
    }
  }

  /// Stops the server and waits until the supervisor has cleaned up: usually tenths of a second, 45 s at worst.
  /// Cancelling the task does not cut it short.
  @discardableResult
  func stop() async -> End {
    orders.close()
    return await end.value
  }
}
