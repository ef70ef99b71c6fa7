import NIOCore
import Synchronization
import Time

/// One stream of events, with the newest event that is not written yet.
///
/// An event replaces an older one that waits, so a slow client skips events. A client that does not read is dropped.
final class EventStream: Sendable {
  struct Limits: Sendable {
    /// The time between two heartbeats. A heartbeat shows the client and its proxies that the stream is alive.
    var heartbeatInterval: Duration = .seconds(15)
    /// The longest time of one write. After this time the connection is closed.
    var writeTimeout: Duration = .seconds(10)
  }

  /// The number of streams that are writing. All streams of a server share it.
  final class Writes: Sendable {
    private let number = Atomic(0)

    var count: Int { number.load(ordering: .relaxed) }

    fileprivate func begin() { number.wrappingAdd(1, ordering: .relaxed) }
    fileprivate func end() { number.wrappingSubtract(1, ordering: .relaxed) }
  }

  private struct State {
    /// The event that is written next.
    var event: ByteBuffer?
    var isHeartbeatDue = false
    var nextHeartbeat: Moment
    /// The time when the current write began. Nil if nothing is being written.
    var writingSince: Moment?
    var isEnded = false
    var isGivenBack = false
    /// The task that waits in `next`.
    var writer: CheckedContinuation<ByteBuffer?, Never>?

    /// What `next` can return now: `.some(nil)` at the end of the stream, nil if it must wait.
    mutating func take() -> ByteBuffer?? {
      if let event {
        self.event = nil
        return event
      }
      if isEnded { return .some(nil) }
      if isHeartbeatDue {
        isHeartbeatDue = false
        return EventStream.heartbeat
      }
      return nil
    }
  }

  /// The product whose stock the stream shows. Nil for a stream of ticks.
  let productID: Int32?
  private let channel: any Channel
  private let limits: Limits
  private let writes: Writes
  private let onEnd: @Sendable () -> Void
  private let state: Mutex<State>

  /// A comment (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
  private static let heartbeat = ByteBuffer(string: ":\n\n")

  /// The size of the kernel's send buffer, which the kernel doubles (socket(7), SO_SNDBUF).
  ///
  /// It is small, so that ten thousand clients that do not read take little memory. Their writes also stop early, so
  /// they are noticed.
  private static let sendBufferBytes = 8192
  private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 1, high: 2048)

  /// - Parameters:
  ///   - channel: the client's connection.
  ///   - onEnd: called once, when the stream is given back or deinitialized.
  init(
    productID: Int32?, channel: any Channel, limits: Limits, writes: Writes, onEnd: @escaping @Sendable () -> Void
  ) {
    self.productID = productID
    self.channel = channel
    self.limits = limits
    self.writes = writes
    self.onEnd = onEnd
    let now = Moment.now
    // A random time, so that streams that began together do not send heartbeats together.
    let first = now + limits.heartbeatInterval * Double.random(in: 0.5...1)
    // The first event does not come from `next`, so its write begins here.
    state = Mutex(State(nextHeartbeat: first, writingSince: now))
    writes.begin()
    // An option fails only if the connection is closed. Then the first write fails, too.
    channel.setOption(.socketOption(.so_sndbuf), value: Self.sendBufferBytes).whenFailure { _ in }
    channel.setOption(.writeBufferWaterMark, value: Self.waterMark).whenFailure { _ in }
  }

  /// The event loop of the connection.
  var eventLoop: any EventLoop { channel.eventLoop }

  deinit { giveBack() }

  /// Frees the place of the stream: nothing more is written. Other references to the stream may still exist.
  func giveBack() {
    let isFirst = state.withLock { state in
      if state.isGivenBack { return false }
      state.isGivenBack = true
      if state.writingSince != nil { writes.end() }
      state.writingSince = nil
      return true
    }
    if isFirst { onEnd() }
  }

  /// Waits for the next event or heartbeat. Nil at the end of the stream.
  ///
  /// The caller calls it when the last write has ended. One task at a time may call it.
  func next() async -> ByteBuffer? {
    await withCheckedContinuation { continuation in
      let ready = state.withLock { state in
        if state.writingSince != nil { writes.end() }
        state.writingSince = nil
        guard let ready = state.take() else {
          state.writer = continuation
          return ByteBuffer??.none
        }
        begin(&state)
        return ready
      }
      if let ready { continuation.resume(returning: ready) }
    }
  }

  /// Replaces the event that waits to be written.
  func offer(_ event: ByteBuffer) {
    update { $0.event = event }
  }

  /// Ends the stream after the event that waits, if there is one.
  func end() {
    update { $0.isEnded = true }
  }

  /// Ends the stream and closes the connection, because the client is gone or does not read.
  func drop() {
    end()
    channel.close(promise: nil)
  }

  /// Sends a heartbeat if it is due. Drops the stream if its current write takes too long.
  func tick(now: Moment, isShuttingDown: Bool) {
    let timeout = isShuttingDown ? min(limits.writeTimeout, Self.timeoutInShutdown) : limits.writeTimeout
    if isWriting(for: timeout, at: now) { return drop() }
    update { state in
      guard state.nextHeartbeat <= now else { return }
      state.isHeartbeatDue = true
      state.nextHeartbeat = now + limits.heartbeatInterval
    }
  }

  /// Whether the current write has taken longer than this.
  func isWriting(for duration: Duration, at now: Moment = .now) -> Bool {
    state.withLock { state in state.writingSince.map { $0 + duration < now } ?? false }
  }

  /// The longest time of a write during shutdown.
  private static let timeoutInShutdown: Duration = .seconds(1)

  private func begin(_ state: inout State) {
    state.writingSince = .now
    writes.begin()
  }

  private func update(_ change: (inout State) -> Void) {
    let resumed = state.withLock { state -> (CheckedContinuation<ByteBuffer?, Never>, ByteBuffer?)? in
      change(&state)
      guard let writer = state.writer, let ready = state.take() else { return nil }
      state.writer = nil
      begin(&state)
      return (writer, ready)
    }
    if let (writer, event) = resumed { writer.resume(returning: event) }
  }
}
