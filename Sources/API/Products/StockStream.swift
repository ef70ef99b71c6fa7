import NIOCore
import Synchronization
import Time

/// What one reader of a stream of events has still to be sent: the newest event, and no older one. A reader who is slow
/// skips events, and one who does not read at all is dropped.
final class StockStream: Sendable {
  struct Limits: Sendable {
    /// How often a comment tells the reader, and whatever is in between, that the stream is alive.
    var heartbeatInterval: Duration = .seconds(15)
    /// A reader to whom nothing can be written for this long is dropped.
    var writeTimeout: Duration = .seconds(10)
  }

  /// How many streams are writing something, shared by all of a server.
  final class Writes: Sendable {
    private let number = Atomic(0)

    var count: Int { number.load(ordering: .relaxed) }

    fileprivate func begin() { number.wrappingAdd(1, ordering: .relaxed) }
    fileprivate func end() { number.wrappingSubtract(1, ordering: .relaxed) }
  }

  private struct State {
    /// What is to be written next.
    var event: ByteBuffer?
    var isHeartbeatDue = false
    var nextHeartbeat: Moment
    /// Since when the last thing that `next` gave out is being written.
    var writingSince: Moment?
    var isEnded = false
    var isGivenBack = false
    /// Waits in `next`.
    var writer: CheckedContinuation<ByteBuffer?, Never>?

    /// What can be given out now. Nil in an optional is the end.
    mutating func take() -> ByteBuffer?? {
      if let event {
        self.event = nil
        return event
      }
      if isEnded { return .some(nil) }
      if isHeartbeatDue {
        isHeartbeatDue = false
        return StockStream.heartbeat
      }
      return nil
    }
  }

  let productID: Int32
  private let channel: any Channel
  private let limits: Limits
  private let writes: Writes
  private let onEnd: @Sendable () -> Void
  private let state: Mutex<State>

  /// A comment (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
  private static let heartbeat = ByteBuffer(string: ":\n\n")

  /// The kernel's part of what is written and not read; it doubles this. Little, so that ten thousand readers who do not
  /// read take little, and so that they are noticed.
  private static let sendBufferBytes = 8192
  private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 1, high: 2048)

  /// - Parameters:
  ///   - channel: the reader's connection.
  ///   - onEnd: called once, when the stream is given back or nobody refers to it any more.
  init(
    productID: Int32, channel: any Channel, limits: Limits, writes: Writes, onEnd: @escaping @Sendable () -> Void
  ) {
    self.productID = productID
    self.channel = channel
    self.limits = limits
    self.writes = writes
    self.onEnd = onEnd
    let now = Moment.now
    // Streams that began together have their heartbeats apart.
    let first = now + limits.heartbeatInterval * Double.random(in: 0.5...1)
    // The first event does not come from `next`.
    state = Mutex(State(nextHeartbeat: first, writingSince: now))
    writes.begin()
    // Should it fail the connection is gone, which the first write finds out.
    channel.setOption(.socketOption(.so_sndbuf), value: Self.sendBufferBytes).whenFailure { _ in }
    channel.setOption(.writeBufferWaterMark, value: Self.waterMark).whenFailure { _ in }
  }

  /// Does the reader's writes.
  var eventLoop: any EventLoop { channel.eventLoop }

  deinit { giveBack() }

  /// Nothing is written any more. Others may refer to the stream for a while yet; its place is free.
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

  /// Waits for what to write next, once the last has been written. Nil at the end. One task at a time.
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

  /// Puts an event in the place of an older one that has not been written.
  func offer(_ event: ByteBuffer) {
    update { $0.event = event }
  }

  /// Ends the stream behind the event that is waiting, if there is one.
  func end() {
    update { $0.isEnded = true }
  }

  /// Ends the stream and closes the connection: the reader is gone, or as good as.
  func drop() {
    end()
    channel.close(promise: nil)
  }

  /// Sends what is due at this moment, or drops a reader who has been holding up a write for too long.
  func tick(now: Moment, isShuttingDown: Bool) {
    let timeout = isShuttingDown ? min(limits.writeTimeout, Self.timeoutInShutdown) : limits.writeTimeout
    if isWriting(for: timeout, at: now) { return drop() }
    update { state in
      guard state.nextHeartbeat <= now else { return }
      state.isHeartbeatDue = true
      state.nextHeartbeat = now + limits.heartbeatInterval
    }
  }

  /// Whether the last thing that was to be written has been held up for longer than this.
  func isWriting(for duration: Duration, at now: Moment = .now) -> Bool {
    state.withLock { state in state.writingSince.map { $0 + duration < now } ?? false }
  }

  /// Shutting down does not wait longer for a reader who does not read.
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
