import Time

/// What other sessions announce on some channels, as a sequence without end: it reconnects by itself.
///
/// A connection on which nothing comes may be one on which nothing comes any more, and the system does not always tell:
/// somebody in between may keep this half of it open. So the server is asked for a sign of life now and then.
///
/// PostgreSQL keeps no notification for a listener that is away. So each time listening begins the sequence says
/// `.listening`, and whoever relies on notifications looks at the state of things then.
package struct NotificationListener: AsyncSequence, Sendable {
  package enum Element: Sendable {
    /// Listening began, for the first time or again after an interruption.
    case listening
    case notification(Notification)
  }

  /// Between two signs of life, and the longest wait for one.
  static let heartbeatInterval: Duration = .seconds(5)
  static let heartbeatTimeout: Duration = .seconds(2)

  private let configuration: ConnectionConfiguration
  private let channels: [String]
  private let heartbeatInterval: Duration

  /// - Parameter channels: names as in `NOTIFY`, lower case.
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

  /// Ends when its task is cancelled, and only then.
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
      // Ends with the connection: the first sign that fails to come breaks it, which ends the notifications.
      let heartbeat = Task { [heartbeatInterval] in
        while true {
          try await Task.sleep(for: heartbeatInterval)
          try await connection.showLife(by: .now + NotificationListener.heartbeatTimeout)
        }
      }
      session = Session(connection: connection, notifications: stream.makeAsyncIterator(), heartbeat: heartbeat)
      backoff.reset()
      return .listening
    }
  }
}

extension Connection {
  /// - Throws: `PostgresError` when the server does not answer by `deadline`; then the connection is broken.
  fileprivate func showLife(by deadline: Moment) throws {
    try answering(by: deadline) { try $0.executeScript("") }
  }
}
