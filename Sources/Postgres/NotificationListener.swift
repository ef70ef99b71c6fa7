/// What other sessions announce on some channels, as a sequence without end: it reconnects by itself.
///
/// PostgreSQL keeps no notification for a listener that is away. So each time listening begins the sequence says
/// `.listening`, and whoever relies on notifications looks at the state of things then.
public struct NotificationListener: AsyncSequence, Sendable {
  public enum Element: Sendable {
    /// Listening began, for the first time or again after an interruption.
    case listening
    case notification(Notification)
  }

  private let configuration: ConnectionConfiguration
  private let channels: [String]

  /// - Parameter channels: names as in `NOTIFY`, lower case.
  public init(_ configuration: ConnectionConfiguration, channels: [String]) {
    self.configuration = configuration
    self.channels = channels
  }

  public func makeAsyncIterator() -> Iterator {
    Iterator(configuration: configuration, channels: channels)
  }

  /// Ends when its task is cancelled, and only then.
  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let configuration: ConnectionConfiguration
    fileprivate let channels: [String]
    private var session: (connection: Connection, notifications: AsyncStream<Notification>.Iterator)?
    private var backoff = Backoff()

    fileprivate init(configuration: ConnectionConfiguration, channels: [String]) {
      self.configuration = configuration
      self.channels = channels
    }

    public mutating func next() async -> Element? {
      if session != nil {
        if let notification = await session?.notifications.next() { return .notification(notification) }
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
      session = (connection, stream.makeAsyncIterator())
      backoff.reset()
      return .listening
    }
  }
}
