import Time

/// The notifications of some channels, as a sequence without end. It reconnects by itself.
///
/// A silent connection may be dead without an error: a proxy may keep its near half open. So a heartbeat asks the
/// server for an answer at intervals.
///
/// PostgreSQL keeps no notifications for a listener that is not connected. So the sequence has a `.listening` whenever
/// listening begins. The consumer then reads the current state.
package struct NotificationListener: AsyncSequence, Sendable {
  package enum Element: Sendable {
    /// Listening began, for the first time or after a reconnect.
    case listening
    case notification(Notification)
  }

  /// The pause between two heartbeats.
  static let heartbeatInterval: Duration = .seconds(5)
  /// The longest wait for the answer to a heartbeat.
  static let heartbeatTimeout: Duration = .seconds(2)

  private let configuration: ConnectionConfiguration
  private let channels: [String]
  private let heartbeatInterval: Duration

  /// - Parameter channels: the names of channels, in lower case.
  package init(_ configuration: ConnectionConfiguration, channels: [String]) {
    self.init(configuration, channels: channels, heartbeatInterval: Self.heartbeatInterval)
  }

  init(_ configuration: ConnectionConfiguration, channels: [String], heartbeatInterval: Duration) {
    self.configuration = configuration
    self.channels = channels
    self.heartbeatInterval = heartbeatInterval
  }

  package func makeAsyncIterator() -> Iterator {
    Iterator(configuration: configuration, channels: channels, heartbeatInterval: heartbeatInterval)
  }

  /// Ends only when its task is cancelled.
  package struct Iterator: AsyncIteratorProtocol {
    fileprivate let configuration: ConnectionConfiguration
    fileprivate let channels: [String]
    fileprivate let heartbeatInterval: Duration
    private var session: Session?
    private var backoff = Backoff()

    private struct Session {
      let connection: Connection
      var notifications: AsyncStream<Notification>.Iterator
      let heartbeat: Task<Void, any Error>
    }

    fileprivate init(configuration: ConnectionConfiguration, channels: [String], heartbeatInterval: Duration) {
      self.configuration = configuration
      self.channels = channels
      self.heartbeatInterval = heartbeatInterval
    }

    package mutating func next() async -> Element? {
      if session != nil {
        if let notification = await session?.notifications.next() { return .notification(notification) }
        session?.heartbeat.cancel()
        await session?.connection.close()
        session = nil
      }
      while !Task.isCancelled {
        if let element = try? await listen() { return element }
        try? await Task.sleep(for: backoff.next())
      }
      return nil
    }

    private mutating func listen() async throws -> Element {
      let (stream, sink) = AsyncStream.makeStream(of: Notification.self)
      let connection = try await Connection.connect(configuration, notifications: sink)
      do {
        for channel in channels { try await connection.executeScript("listen \"\(channel)\"") }
      } catch {
        await connection.close()
        throw error
      }
      // The first heartbeat without an answer breaks the connection, which ends the stream of notifications.
      let heartbeat = Task { [heartbeatInterval] in
        while true {
          try await Task.sleep(for: heartbeatInterval)
          try await connection.sendHeartbeat(by: .now + NotificationListener.heartbeatTimeout)
        }
      }
      session = Session(connection: connection, notifications: stream.makeAsyncIterator(), heartbeat: heartbeat)
      backoff.reset()
      return .listening
    }
  }
}

extension Connection {
  /// - Throws: `PostgresError` when the server does not answer by `deadline`. The connection is broken then.
  fileprivate func sendHeartbeat(by deadline: Moment) throws {
    try answering(by: deadline) { try $0.executeScript("") }
  }
}
