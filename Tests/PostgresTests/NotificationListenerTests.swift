import Glibc
import TestSupport
import Testing

@testable import Postgres

@Suite struct NotificationListenerTests {
  @Test func `a listener reports listening, then the notifications of its channels`() async throws {
    try await withListener(to: ["one", "two"]) { events, sender in
      #expect(await events.next() == "listening")
      try await sender.executeScript("notify one, 'first'")
      #expect(await events.next() == "one first")
      try await sender.executeScript("notify two; notify three; notify one, 'ü'")
      #expect(await events.next() == "two ")
      #expect(await events.next() == "one ü")
    }
  }

  @Test func `thousands of notifications arrive in order`() async throws {
    try await withListener(to: ["burst"]) { events, sender in
      #expect(await events.next() == "listening")
      try await sender.executeScript("select pg_notify('burst', n::text) from generate_series(1, 5000) as n")
      for number in 1...5_000 { try #require(await events.next() == "burst \(number)") }
    }
  }

  @Test func `a listener reports listening again after its backend was terminated`() async throws {
    try await withListener(to: ["one"]) { events, sender in
      #expect(await events.next() == "listening")
      for round in 1...3 {
        try await sender.executeScript(terminateListener)
        #expect(await events.next() == "listening")
        try await sender.executeScript("notify one, '\(round)'")
        #expect(await events.next() == "one \(round)")
      }
    }
  }

  @Test func `cancellation ends the sequence and closes the connection`() async throws {
    try await withConnection { observer, configuration in
      for _ in 0..<5 {
        let gate = Gate()
        let task = Task {
          for await _ in NotificationListener(configuration, channels: ["one"]) { gate.open() }
        }
        await gate.wait()
        task.cancel()
        await task.value
        try await until("the connection is closed") { try await observer.otherConnections() == 0 }
      }
    }
  }

  @Test func `cancellation ends the wait for a server that is away`() async throws {
    let dead = try SilentServer().port
    let configuration = ConnectionConfiguration(url: "postgresql://x@127.0.0.1:\(dead)/x")
    let task = Task { for await _ in NotificationListener(configuration, channels: ["one"]) {} }
    task.cancel()
    await task.value
  }

  @Test func `notifications arrive before and during a statement`() async throws {
    try await withConnection { sender, configuration in
      let (stream, sink) = AsyncStream.makeStream(of: Notification.self)
      var notifications = stream.makeAsyncIterator()
      let listener = try await Connection.connect(configuration, notifications: sink)
      try await listener.executeScript("listen one")
      try await sender.executeScript("notify one, 'idle'")
      #expect(await notifications.next()?.payload == "idle")
      try await sender.holdLock()
      async let waiting = listener.execute(WaitForLock())
      try await until("the statement waits") { try await sender.waitingForLock() == 1 }
      try await sender.executeScript("notify one, 'during'")
      try await sender.releaseLock()
      #expect(await notifications.next()?.payload == "during")
      #expect(try await waiting == [1])
      _ = try await listener.execute(Echo("still usable"))
      await listener.close()
      #expect(await notifications.next() == nil)
    }
  }

  /// The notification follows two results, and no message follows it.
  @Test func `a notification at the end of a script arrives at once`() async throws {
    try await withConnection { _, configuration in
      let (stream, sink) = AsyncStream.makeStream(of: Notification.self)
      let listener = try await Connection.connect(configuration, notifications: sink)
      try await listener.executeScript("listen one")
      try await listener.executeScript("notify one, 'to myself'; select 1; select 2")
      let heard = Task { await stream.first { _ in true }?.payload }
      let limit = Task { [sink] in
        try await Task.sleep(for: .seconds(3))
        sink.finish()
      }
      #expect(await heard.value == "to myself")
      limit.cancel()
      await listener.close()
    }
  }

  /// The backend still exists, but is stopped.
  @Test func `a listener reconnects when its backend stops answering`() async throws {
    try await withListener(to: ["one"], heartbeatInterval: .milliseconds(50)) { events, sender in
      #expect(await events.next() == "listening")
      let listeners = try await sender.execute(ProcessesOfListener())
      #expect(listeners.count == 1)
      for process in listeners { kill(process, SIGSTOP) }
      defer { for process in listeners { kill(process, SIGCONT) } }
      #expect(await events.next() == "listening")
      try await sender.executeScript("notify one, 'again'")
      #expect(await events.next() == "one again")
    }
  }

  // MARK: Support

  private struct ProcessesOfListener: PreparedStatement {
    static let name = "processes_of_listener"
    static let sql = """
      select pid from pg_stat_activity where application_name = 'listener' and datname = current_database()
      """
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Int32 { try row.decode() }
  }

  private let terminateListener = """
    select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = 'listener' and datname = current_database()
    """

  /// Lends the events of a listener as texts, and another connection.
  private func withListener(
    to channels: [String], heartbeatInterval: Duration = .seconds(60),
    _ body: @Sendable (inout AsyncStream<String>.Iterator, Connection) async throws -> Void
  ) async throws {
    try await withConnection { sender, configuration in
      var ofListener = configuration
      ofListener.applicationName = "listener"
      let listener = NotificationListener(ofListener, channels: channels, heartbeatInterval: heartbeatInterval)
      let (stream, sink) = AsyncStream.makeStream(of: String.self)
      let task = Task {
        for await element in listener {
          switch element {
          case .listening: sink.yield("listening")
          case .notification(let notification): sink.yield("\(notification.channel) \(notification.payload)")
          }
        }
      }
      var events = stream.makeAsyncIterator()
      do { try await body(&events, sender) } catch {
        task.cancel()
        await task.value
        throw error
      }
      task.cancel()
      await task.value
    }
  }
}
