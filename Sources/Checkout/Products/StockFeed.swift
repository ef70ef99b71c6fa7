import Logging
import Postgres
import ServiceLifecycle
import Synchronization

/// Wakes the watches of a product on all servers when its stock may have changed.
///
/// A server announces a change with NOTIFY after the commit, in another transaction. A pending notification takes an
/// instance-wide lock at commit, so all sales would wait for each other. One statement announces all changes since the
/// last one. If a notification is lost, the watch ends its wait after a second.
final class StockFeed: Service {
  static let channel = "stock_changes"

  /// The shortest time between two announcements of a server. A stream sends at most ten events a second.
  static let announcementInterval: Duration = .milliseconds(50)

  private struct State {
    /// The products that changed since the last announcement.
    var changed: Set<Int32> = []
    /// The alarms of the watches, by product and by the watch's number.
    var watches: [Int32: [Int: Alarm]] = [:]
    var nextWatch = 0

    /// Wakes the watches of a product, or all watches when it is nil.
    func ring(_ productID: Int32?) {
      guard let productID else {
        for alarms in watches.values { for alarm in alarms.values { alarm.ring() } }
        return
      }
      guard let alarms = watches[productID] else { return }
      for alarm in alarms.values { alarm.ring() }
    }
  }

  private let database: Pool
  private let listener: ConnectionConfiguration
  private let logger: Logger
  private let state = Mutex(State())
  private let (announcements, announcementsSink) = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))

  init(database: Pool, listener: ConnectionConfiguration, logger: Logger) {
    self.database = database
    self.listener = listener
    self.logger = logger
  }

  /// Announces that the stock of a product changed. Returns at once. Call it after the commit.
  func announce(_ productID: Int32) {
    let isFirst = state.withLock { state in
      let isFirst = state.changed.isEmpty
      state.changed.insert(productID)
      state.ring(productID)
      return isFirst
    }
    if isFirst { announcementsSink.yield() }
  }

  func watch(_ productID: Int32) -> StockWatch {
    let alarm = Alarm()
    let number = state.withLock { state in
      state.nextWatch += 1
      state.watches[productID, default: [:]][state.nextWatch] = alarm
      return state.nextWatch
    }
    return StockWatch(alarm: alarm) { [self] in
      state.withLock { state in
        state.watches[productID]?[number] = nil
        if state.watches[productID]?.isEmpty == true { state.watches[productID] = nil }
      }
    }
  }

  /// For tests: the number of watches.
  var watchCount: Int { state.withLock { $0.watches.values.reduce(0) { $0 + $1.count } } }

  func run() async {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.sendAnnouncements() }
        group.addTask { await self.listen() }
      }
    }
  }

  private func sendAnnouncements() async {
    for await _ in announcements {
      let changes = state.withLock { state in
        defer { state.changed = [] }
        return state.changed
      }
      do {
        _ = try await database.execute(Notify(productIDs: Array(changes)))
      } catch {
        logger.debug("stock changes were not announced; polling will find them", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: Self.announcementInterval)
    }
  }

  private func listen() async {
    for await element in NotificationListener(listener, channels: [Self.channel]) {
      switch element {
      // Earlier notifications may be lost.
      case .listening: state.withLock { $0.ring(nil) }
      case .notification(let notification): state.withLock { $0.ring(Int32(notification.payload)) }
      }
    }
  }

  /// Sends a notification for each product.
  private struct Notify: PreparedStatement {
    static let name = "announce_stock"
    static let sql = "select 1 from unnest($1::integer[]) as id, pg_notify('\(StockFeed.channel)', id::text)"
    let productIDs: [Int32]

    func bind(to parameters: inout Parameters) {
      parameters.append(productIDs)
    }

    static func decode(_ row: inout Row) throws {}
  }
}
