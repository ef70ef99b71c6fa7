import Dispatch
import Foundation
import TestSupport
import Testing
import Time

@testable import Postgres

@Suite struct PoolTests {
  // MARK: Size and queue

  @Test func `a pool opens at most as many connections as its size`() async throws {
    let size = 3
    try await withPool(size: size) { pool, observer in
      let lent = Shared((now: 0, most: 0))
      try await withThrowingTaskGroup(of: Int64.self) { group in
        for _ in 0..<300 {
          group.addTask {
            try await pool.withConnection { connection in
              lent.withLock { ($0.now, $0.most) = ($0.now + 1, max($0.most, $0.now + 1)) }
              defer { lent.withLock { $0.now -= 1 } }
              return try await connection.otherConnections()
            }
          }
        }
        // The observer's connection is counted, too.
        for try await otherConnections in group { #expect(otherConnections <= size) }
      }
      #expect(lent.value.most == size)
      let remaining = try await observer.otherConnections()
      #expect(remaining == size)
    }
  }

  @Test func `an idle connection is used again`() async throws {
    try await withPool(size: 4) { pool, _ in
      let processes = Shared(Set<Int32>())
      for _ in 0..<10 {
        let process = try await pool.withConnection { try await $0.processID() }
        processes.withLock { $0.insert(process) }
      }
      #expect(processes.value.count == 1)
    }
  }

  @Test func `callers get connections in the order of their arrival`() async throws {
    try await withPool(size: 1) { pool, _ in
      let served = Shared([Int]())
      try await withFullPool(pool) { line, release in
        let callers = (0..<50).map { number in
          line.start { try await pool.withConnection { _ in served.withLock { $0.append(number) } } }
        }
        await line.settle()
        release()
        for caller in callers { try await caller.value }
      }
      #expect(served.value == Array(0..<50))
    }
  }

  @Test func `usage counts the connections in use and the waiting callers`() async throws {
    try await withPool(size: 1) { pool, _ in
      #expect((pool.usage.size, pool.usage.inUse, pool.usage.waiting) == (1, 0, 0))
      try await withFullPool(pool) { line, release in
        let callers = (0..<3).map { _ in line.start { try await pool.withConnection { _ in } } }
        await line.settle()
        #expect((pool.usage.inUse, pool.usage.waiting) == (1, 3))
        release()
        for caller in callers { try await caller.value }
      }
      #expect((pool.usage.inUse, pool.usage.waiting) == (0, 0))
    }
  }

  @Test func `a statement's measured time excludes the wait for a connection`() async throws {
    try await withConnection { _, configuration in
      let told = Shared([(name: String, nanoseconds: Int64)]())
      let pool = Pool(configuration, size: 1) { name, nanoseconds in told.withLock { $0.append((name, nanoseconds)) } }
      let wait = Duration.milliseconds(500)
      try await withFullPool(pool) { line, release in
        let caller = line.start { _ = try await pool.execute(Sleep(milliseconds: 1)) }
        await line.settle()
        try await Task.sleep(for: wait)
        release()
        try await caller.value
      }
      // A refused statement takes a round trip, too.
      let refused = try await serverError { try await pool.execute(Echo("a\0b")) }
      #expect(refused.sqlState == "22021")
      await pool.close()
      #expect(told.value.map(\.name) == [Sleep.name, Echo<String>.name])
      #expect(.milliseconds(1)..<wait ~= .nanoseconds(told.value[0].nanoseconds))
    }
  }

  @Test func `a cancelled caller leaves the queue and all others are served`() async throws {
    try await withPool(size: 1) { pool, _ in
      let served = Shared([Int]())
      try await withFullPool(pool) { line, release in
        let callers = (0..<10).map { number in
          line.start { try await pool.withConnection { _ in served.withLock { $0.append(number) } } }
        }
        await line.settle()
        for leaving in [0, 4, 9] {
          callers[leaving].cancel()
          // Another caller still has the connection.
          await #expect(throws: CancellationError.self) { try await callers[leaving].value }
        }
        release()
        for (number, caller) in callers.enumerated() where ![0, 4, 9].contains(number) { try await caller.value }
      }
      #expect(served.value == [1, 2, 3, 5, 6, 7, 8])
    }
  }

  @Test func `a cancelled task gets no connection`() async throws {
    try await withPool(size: 1) { pool, observer in
      let gate = Gate()
      let task = Task {
        await gate.wait()
        _ = try await pool.execute(Echo("sent for a cancelled task"))
      }
      task.cancel()
      gate.open()
      await #expect(throws: CancellationError.self) { try await task.value }
      let connections = try await observer.otherConnections()
      #expect(connections == 0)
    }
  }

  // MARK: Without a task

  @Test func `callers with and without a task share one queue`() async throws {
    try await withPool(size: 1) { pool, _ in
      let served = Shared([Int]())
      try await withFullPool(pool) { line, release in
        let callers = (0..<20).map { number in
          line.start {
            guard number.isMultiple(of: 2) else {
              return try await pool.withConnection { _ in served.withLock { $0.append(number) } }
            }
            try await lent(by: pool) { _ in served.withLock { $0.append(number) } }
          }
        }
        await line.settle()
        release()
        for caller in callers { try await caller.value }
      }
      #expect(served.value == Array(0..<20))
    }
  }

  @Test func `the work after a loan finds the connection back in the pool`() async throws {
    try await withPool(size: 1) { pool, _ in
      let free = await withCheckedContinuation { continuation in
        pool.lend { _ in
          { continuation.resume(returning: pool.usage.inUse) }
        } failure: { _ in
          continuation.resume(returning: -1)
        }
      }
      #expect(free == 0)
    }
  }

  @Test func `a connection that breaks during a loan is replaced`() async throws {
    try await withPool(size: 1) { pool, observer in
      let lost = try await postgresError {
        try await lent(by: pool) { try $0.executeScript("select pg_terminate_backend(pg_backend_pid())") }
      }
      #expect(lost.isConnectionLost)
      #expect(try await lent(by: pool) { try $0.run(Echo(Int32(2))) } == [2])
      let connections = try await observer.otherConnections()
      #expect(connections == 1)
    }
  }

  @Test func `a loan without a connection fails with the reason`() async throws {
    let pool = Pool(ConnectionConfiguration(url: "host=127.0.0.1 port=1"), size: 1)
    let refused = try await postgresError { try await lent(by: pool) { _ in } }
    #expect("\(refused)".contains("refused"))
    await pool.close()
    let closed = try await postgresError { try await lent(by: pool) { _ in } }
    #expect(closed.isPoolUnavailable)
  }

  // MARK: Returned connections

  @Test func `a connection that comes back inside a transaction is discarded`() async throws {
    try await withPool(size: 1) { pool, observer in
      try await pool.run("create table t ()")
      try await pool.run("begin; insert into t default values")
      let (inTransaction, rows) = try await pool.withConnection {
        (try await $0.text("pg_current_xact_id_if_assigned()"), try await $0.integer("select count(*) from t"))
      }
      #expect(inTransaction.isEmpty)
      #expect(rows == 0)
      await #expect(throws: Refusal.self) {
        try await pool.withConnection {
          try await $0.executeScript("begin; insert into t default values")
          throw Refusal()
        }
      }
      let rowsAfterThrow = try await pool.integer("select count(*) from t")
      let connections = try await observer.otherConnections()
      #expect(rowsAfterThrow == 0)
      #expect(connections == 1)
    }
  }

  @Test func `a connection is used again after an SQL error`() async throws {
    try await withPool(size: 1) { pool, _ in
      let before = try await pool.withConnection { try await $0.processID() }
      try await serverError { try await pool.run("select 1/0") }
      let after = try await pool.withConnection { try await $0.processID() }
      #expect(before == after)
    }
  }

  @Test func `a broken connection is replaced`() async throws {
    try await withPool(size: 2) { pool, observer in
      let lost = try await postgresError {
        try await pool.withConnection { connection in
          let processID = try await connection.processID()
          try await observer.terminate(processID)
          try await until("the connection is broken") { !connection.isReusable }
          try await connection.executeScript("select 1")
        }
      }
      #expect(lost.isConnectionLost)
      let answer = try await pool.execute(Echo("again"))
      #expect(answer == ["again"])
    }
  }

  @Test func `a connection that broke while idle is replaced without an error`() async throws {
    try await withPool(size: 1) { pool, observer in
      for number in 0..<Int32(5) {
        let connection = try await pool.withConnection { $0 }
        try await observer.terminate(try await connection.processID())
        try await until("the connection is broken") { !connection.isReusable }
        let answer = try await pool.execute(Echo(number))
        #expect(answer == [number])
      }
    }
  }

  // MARK: The database is away

  @Test func `a pool refuses statements while the database is away, then recovers`() async throws {
    try await withPool(size: 2) { pool, observer in
      try await withGatekeeper(of: observer) { gatekeeper in
        _ = try await pool.execute(Echo(Int32(1)))
        try await gatekeeper.shut()
        // The first statements may lose their connection. All later ones cannot connect.
        try await until("the database is away") {
          do {
            _ = try await pool.execute(Echo(Int32(1)))
            return false
          } catch let error as PostgresError {
            return error.isCannotConnect
          }
        }
        for _ in 0..<200 {
          let error = try await postgresError { try await pool.execute(Echo(Int32(1))) }
          #expect(error.isCannotConnect && error.isDatabaseAway)
        }
        try await gatekeeper.open()
        try await until("the database is back") { try await isServing(pool) }
      }
    }
  }

  @Test func `every caller gets an answer while the database comes and goes`() async throws {
    let size = 2
    try await withPool(size: size) { pool, observer in
      try await withGatekeeper(of: observer) { gatekeeper in
        let isOver = Shared(false)
        try await withThrowingTaskGroup(of: (answers: Int, refusals: Int).self) { group in
          for _ in 0..<30 {
            group.addTask {
              var (answers, refusals) = (0, 0)
              while !isOver.value {
                do {
                  _ = try await pool.execute(Echo(Int32(1)))
                  answers += 1
                } catch let error as PostgresError where error.isDatabaseAway {
                  refusals += 1
                }
              }
              return (answers, refusals)
            }
          }
          for _ in 0..<3 {
            // `shut` is repeated: it does not end a connection that is being opened at that moment.
            try await until("the database is away") {
              try await gatekeeper.shut()
              return try await !isServing(pool)
            }
            try await gatekeeper.open()
            try await until("the database is back") { try await isServing(pool) }
          }
          isOver.withLock { $0 = true }
          var total = (answers: 0, refusals: 0)
          for try await one in group { total = (total.answers + one.answers, total.refusals + one.refusals) }
          #expect(total.answers > 0 && total.refusals > 0)
        }
      }
      try await until("no connection is left open") { try await observer.otherConnections() <= size }
    }
  }

  @Test func `a pool makes one attempt at a time while the server is silent`() async throws {
    let server = try SilentServer()
    var configuration = ConnectionConfiguration(url: server.url)
    configuration.connectTimeout = .milliseconds(500)
    let pool = Pool(configuration, size: 8)
    try await postgresError { try await pool.execute(Echo("")) }
    #expect(server.newConnections() == 1)
    let start = Moment.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let end = Moment.now + .seconds(2)
          while Moment.now < end {
            try await postgresError { try await pool.execute(Echo("")) }
            try await Task.sleep(for: .milliseconds(5))
          }
        }
      }
      try await group.waitForAll()
    }
    // Attempts follow each other. One may begin just before the end of the test.
    let (calls, elapsed) = (server.newConnections(), start.duration(to: .now))
    #expect(calls >= 1 && calls <= Int(elapsed / configuration.connectTimeout) + 1, "\(calls) in \(elapsed)")
  }

  @Test func `a pool with waiting callers works again after a server restart`() async throws {
    let directory = temporaryDirectory()
    // Each start of the server makes a new socket directory. The pool finds it through a link.
    let link = temporaryDirectory()
    defer { for path in [link, directory] { try? FileManager.default.removeItem(atPath: path) } }
    func serve(_ body: @Sendable () async throws -> Void) async throws {
      try await withServer(directory: directory, ephemeral: false) { server in
        let sockets = ConnectionConfiguration(url: server.databaseURL()).value(of: "host")!
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: sockets)
        try await body()
        try FileManager.default.removeItem(atPath: link)
      }
    }
    let configuration = ConnectionConfiguration(url: "host=\(link) port=5432 user=flashsale dbname=flashsale")
    let pool = Pool(configuration, size: 2)
    let outcomes = Shared([Task<[Int64], any Error>]())
    try await serve {
      try await withConnection(configuration) { holder in
        try await holder.holdLock()
        outcomes.withLock { outcomes in
          for _ in 0..<20 { outcomes.append(Task { try await pool.execute(WaitForLock()) }) }
        }
        try await until("two callers wait on the server") { try await holder.waitingForLock() == 2 }
      }
      try await withConnection(configuration) { try await $0.holdLock() }
    }
    for outcome in outcomes.value {
      do { _ = try await outcome.value } catch let error as PostgresError { #expect(error.isDatabaseAway) }
    }
    let away = try await postgresError { try await pool.execute(Echo("")) }
    #expect(away.isCannotConnect)
    try await serve {
      try await until("the database is back") { try await isServing(pool) }
      await pool.close()
    }
  }

  @Test func `callers share the existing connections when the database refuses more`() async throws {
    try await withCrowdedPool(connections: 2) { crowded in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<40 {
          group.addTask { for _ in 0..<5 { _ = try await crowded.execute(Echo(Int32(1))) } }
        }
        try await group.waitForAll()
      }
      #expect(crowded.usage.inUse == 0 && crowded.usage.waiting == 0)
    }
  }

  @Test func `callers keep their order when the database refuses more connections`() async throws {
    try await withCrowdedPool(connections: 1) { crowded in
      let served = Shared([Int]())
      try await withFullPool(crowded) { line, release in
        let callers = (0..<20).map { number in
          line.start { try await crowded.withConnection { _ in served.withLock { $0.append(number) } } }
        }
        try await until("all callers wait") { crowded.usage.waiting == callers.count }
        release()
        for caller in callers { try await caller.value }
      }
      #expect(served.value == Array(0..<20))
    }
  }

  /// Lends a pool of size 4. The database accepts only `connections` of them.
  private func withCrowdedPool(
    connections: Int, _ body: @escaping @Sendable (Pool) async throws -> Void
  ) async throws {
    try await withConnection { observer, configuration in
      let database = try await observer.text("current_database()")
      let sockets = try await observer.text("current_setting('unix_socket_directories')")
      let guest = "guest_of_\(database)"
      // The limit does not stop superusers, but counts them. The observer is one.
      try await observer.executeScript(
        "create role \(guest) login; alter database \(database) connection limit \(connections + 1)")
      var configuration = configuration
      configuration.text = "host=\(sockets) port=5432 user=\(guest) dbname=\(database)"
      let crowded = Pool(configuration, size: 4)
      try await body(crowded)
      await crowded.close()
      try await observer.executeScript("drop role \(guest)")
    }
  }

  /// What broke one connection has most likely broken the others, too.
  @Test func `a lost connection makes the pool close its idle connections`() async throws {
    try await withPool(size: 3) { pool, observer in
      try await pool.withConnection { _ in
        try await pool.withConnection { _ in _ = try await pool.execute(Echo(Int32(1))) }
      }
      #expect(try await observer.otherConnections() == 3)
      try await pool.withConnection { connection in
        let process = try await connection.processID()
        try await observer.executeScript("select pg_terminate_backend(\(process))")
        let error = try await postgresError { try await connection.execute(Echo(Int32(1))) }
        #expect(error.isConnectionLost)
      }
      try await until("no connection is left") { try await observer.otherConnections() == 0 }
      #expect(pool.usage.inUse == 0)
      #expect(try await pool.execute(Echo(Int32(1))) == [1])
    }
  }

  // MARK: Closing

  @Test func `a closed pool refuses callers and closes its connections`() async throws {
    try await withPool(size: 2) { pool, observer in
      _ = try await pool.execute(Echo(Int32(1)))
      let borrowed = Gate()
      let giveBack = Gate()
      let borrower = Task {
        try await pool.withConnection { connection in
          borrowed.open()
          await giveBack.wait()
          // The pool is closed by now. A lent connection may still be used.
          return try await connection.execute(Echo("finished"))
        }
      }
      await borrowed.wait()
      _ = try await pool.execute(Echo(Int32(1)))
      await pool.close()
      let refused = try await postgresError { try await pool.execute(Echo(Int32(1))) }
      #expect(refused.isPoolUnavailable && refused.isDatabaseAway)
      try await until("the idle connections are closed") { try await observer.otherConnections() == 1 }
      giveBack.open()
      let answer = try await borrower.value
      #expect(answer == ["finished"])
      try await until("the lent connection is closed, too") { try await observer.otherConnections() == 0 }
      await pool.close()
    }
  }

  @Test func `closing a pool refuses the waiting callers`() async throws {
    try await withPool(size: 1) { pool, _ in
      try await withFullPool(pool) { line, release in
        let callers = (0..<10).map { _ in line.start { _ = try await pool.execute(Echo(Int32(1))) } }
        await line.settle()
        await pool.close()
        for caller in callers {
          let error = try await postgresError { try await caller.value }
          #expect(error.isPoolUnavailable)
        }
        release()
      }
    }
  }

  // MARK: Support

  private struct Refusal: Error {}

  /// Whether the pool executes a statement. It does not while the database is away.
  private func isServing(_ pool: Pool) async throws -> Bool {
    do {
      return try await pool.execute(Echo(Int32(1))) == [1]
    } catch let error as PostgresError where error.isDatabaseAway {
      return false
    }
  }

  /// Starts callers one after the other. Each one waits in the pool's queue, or was served, before the next one starts.
  private final class Line: TaskExecutor {
    private let queue = DispatchQueue(label: "test.line")

    func enqueue(_ job: consuming ExecutorJob) {
      let job = UnownedJob(job)
      queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    func start(_ operation: @escaping @Sendable () async throws -> Void) -> Task<Void, any Error> {
      Task(executorPreference: self, operation: operation)
    }

    /// Returns when all started callers wait. The queue is serial, so this runs after the first step of each.
    func settle() async {
      await Task(executorPreference: self) {}.value
    }
  }

  /// Runs `body` while the pool's only connection is lent. `body` ends the loan with `release`.
  private func withFullPool(
    _ pool: Pool, _ body: @Sendable (_ line: Line, _ release: @Sendable () -> Void) async throws -> Void
  ) async throws {
    let (borrowed, giveBack) = (Gate(), Gate())
    let borrower = Task {
      try await pool.withConnection { _ in
        borrowed.open()
        await giveBack.wait()
      }
    }
    await borrowed.wait()
    defer { giveBack.open() }
    try await body(Line(), { giveBack.open() })
    try await borrower.value
  }

  /// Closes a database: ends all connections but the observer's, and refuses new ones. Opens it again.
  private struct Gatekeeper {
    let administration: Connection
    let database: String
    let observer: Int32

    func shut() async throws {
      try await administration.executeScript("alter database \(database) allow_connections false")
      try await administration.executeScript(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(database)' and pid <> \(observer)")
    }

    func open() async throws {
      try await administration.executeScript("alter database \(database) allow_connections true")
    }
  }

  private func withGatekeeper(
    of observer: Connection, _ body: @Sendable (Gatekeeper) async throws -> Void
  ) async throws {
    let database = try await observer.text("current_database()")
    let process = try await observer.processID()
    let sockets = try await observer.text("current_setting('unix_socket_directories')")
    let configuration = ConnectionConfiguration(url: "host=\(sockets) user=flashsale dbname=postgres")
    try await withConnection(configuration) {
      try await body(Gatekeeper(administration: $0, database: database, observer: process))
    }
  }
}

/// Returns the result of `body` on a connection that is lent without a task.
private func lent<Result: Sendable>(
  by pool: Pool, _ body: @escaping @Sendable (isolated Connection) throws -> Result
) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    pool.lend { connection in
      let result = Swift.Result { try body(connection) }
      return { continuation.resume(with: result) }
    } failure: {
      continuation.resume(throwing: $0)
    }
  }
}
