import Checkout
import NIOCore
import ServiceLifecycle
import Synchronization
import Time

/// The events of all streams of ticks.
///
/// Once a second it reads the shop and makes one tick for all streams. While there is no stream, it does nothing.
final class Ticks: Service {
  private static let interval: Duration = .seconds(1)
  /// The longest wait of a tick for the shop, so that ticks go on while the database is silent.
  private static let patience: Duration = .milliseconds(900)
  /// Reading the shop takes at most this part of the time of one database connection. If a read takes longer than a tenth
  /// of a second, the shop is read less often.
  private static let readShare = 0.1

  private struct State {
    var streams: [ObjectIdentifier: EventStream] = [:]
    /// Whether ticks are made, or about to be.
    var isRunning = false
    /// The last tick, and the time when it was begun.
    var last: (event: ByteBuffer, begin: Moment)?
  }

  /// What the ticks of one watch have in common.
  private struct Watch {
    var server = TicksServer.Window()
    var forecast = TicksForecast()
    var nextRead = Moment.now
  }

  private let checkout: Checkout
  private let streams: StockStreams
  private let figures: LiveFigures
  private let identity: ServerIdentity
  private let state = Mutex(State())
  private let (starts, startsSink) = AsyncStream.makeStream(of: Void.self)

  init(checkout: Checkout, streams: StockStreams, figures: LiveFigures, identity: ServerIdentity) {
    self.checkout = checkout
    self.streams = streams
    self.figures = figures
    self.identity = identity
  }

  /// Makes a stream and takes a place for it. Throws the errors of `StockStreams.openTicks`.
  func open(on channel: any Channel) throws -> EventStream { try streams.openTicks(on: channel) }

  /// Adds a stream. Its first event comes at once.
  func join(_ stream: EventStream) {
    streams.join(stream)
    let isFirst = state.withLock { state in
      state.streams[ObjectIdentifier(stream)] = stream
      // Under the lock, so that it cannot replace the next tick.
      if let last = state.last, .now < last.begin + Self.interval { stream.offer(last.event) }
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if isFirst { startsSink.yield() }
  }

  /// Removes a stream, and frees its place.
  func leave(_ stream: EventStream) {
    streams.leave(stream)
    state.withLock { $0.streams[ObjectIdentifier(stream)] = nil }
  }

  /// Makes ticks until graceful shutdown. `StockStreams` ends the streams.
  func run() async {
    await cancelWhenGracefulShutdown {
      var database = TicksDatabase()
      for await _ in self.starts { await self.publish(&database) }
    }
  }

  /// Makes ticks until there is no stream.
  private func publish(_ database: inout TicksDatabase) async {
    figures.isCounting = true
    defer { figures.isCounting = false }
    var watch = Watch()
    // A client that opens and closes streams must not cause more than one tick a second.
    var next = state.withLock { $0.last.map { $0.begin + Self.interval } } ?? .now
    while true {
      try? await Task.sleep(for: next - .now)
      if Task.isCancelled { return }
      let isWatched = state.withLock { state in
        state.isRunning = !state.streams.isEmpty
        return state.isRunning
      }
      guard isWatched else { return }
      let begin = Moment.now
      // A late tick does not delay the next one, but the two do not follow each other at once.
      next = max(next + Self.interval, begin + Self.interval / 2)
      let event = await tick(&watch, &database).encoded()
      let streams = state.withLock { state in
        state.last = (event, begin)
        return Array(state.streams.values)
      }
      for stream in streams { stream.offer(event) }
    }
  }

  private func tick(_ watch: inout Watch, _ database: inout TicksDatabase) async -> TicksEvent {
    let begin = Moment.now
    if watch.nextRead <= begin {
      let reading = await checkout.shop(within: Self.patience)
      database.note(reading, at: .now)
      if case .read(let shop) = reading {
        watch.forecast.note(shop)
        watch.nextRead = begin + (.now - begin) / Self.readShare
      }
    }
    return TicksEvent(
      time: .now, identity: identity, server: watch.server.add(figures.read()), inFlight: checkout.inFlightCount,
      openStreams: streams.openCount, database: database, secondsLeft: watch.forecast.secondsLeft)
  }
}
