import Checkout
import NIOCore
import ServiceLifecycle
import Synchronization
import Time

/// All streams of a server. For each product that is watched, one task reads it when it may have changed, and gives what
/// it finds to all who watch.
final class StockStreams: Service {
  /// What a server may spend on events, over all streams, as far as `longestInterval` allows.
  private static let eventsPerSecond = 4000.0

  /// Events of one product come at least this far apart. Together with the first one, which comes at once, that makes at
  /// most ten in any second.
  private static let shortestInterval: Duration = .milliseconds(120)

  /// However many watch, so that a change is seen within a second: what comes up right after a round has begun waits for
  /// one interval, and the last reader for half of the next.
  private static let longestInterval: Duration = .milliseconds(500)

  /// A round to many readers is spread over half its interval, in steps of this, so that other requests get between.
  private static let stepInterval: Duration = .milliseconds(5)
  private static let smallestStep = 20

  /// A step is over when all but so many streams have passed on what they write, or after so many pauses. Readers who
  /// have not let anything be written for a while do not count, or a few of them could keep the others waiting.
  private static let writesLeft = 10
  private static let pausesAtMost = 20
  private static let stuckAfter: Duration = .seconds(1)

  private struct Newcomer {
    let stream: StockStream
    /// What the stream began with, read before it joined.
    let initial: Product
  }

  private struct Audience {
    let watch: StockWatch
    var members: [ObjectIdentifier: StockStream] = [:]
    /// Those who joined since the last time the product was read.
    var newcomers: [ObjectIdentifier: Newcomer] = [:]
  }

  private struct State {
    var audiences: [Int32: Audience] = [:]
    var isEnding = false

    var streams: [StockStream] {
      audiences.values.flatMap { Array($0.members.values) + $0.newcomers.values.map(\.stream) }
    }
  }

  private struct Places {
    var taken = 0
    var takenByClient: [IPAddress: Int] = [:]
  }

  private let checkout: Checkout
  private let maximumCount: Int
  /// One address cannot take all places.
  private let maximumCountPerClient: Int
  private let limits: StockStream.Limits
  private let places = Mutex(Places())
  private let writes = StockStream.Writes()
  /// Of those writing, the stuck ones.
  private let stuckCount = Atomic(0)
  private let state = Mutex(State())
  private let (rounds, roundsSink) = AsyncStream.makeStream(of: (productID: Int32, watch: StockWatch).self)

  init(checkout: Checkout, maximumCount: Int, limits: StockStream.Limits) {
    self.checkout = checkout
    self.maximumCount = maximumCount
    maximumCountPerClient = max(1, maximumCount / 10)
    self.limits = limits
  }

  /// Takes one of the places for streams, which is free again when the stream leaves, or is forgotten before it joined.
  ///
  /// - Parameter client: the reader's address; nil when it is not known.
  /// - Throws: an `overloaded` problem when all are taken, or those of this client, `CheckoutError.shuttingDown`.
  func open(_ productID: Int32, for client: IPAddress?, on channel: any Channel) throws -> StockStream {
    if state.withLock({ $0.isEnding }) { throw CheckoutError.shuttingDown }
    let client = client?.client
    try takePlace(for: client)
    return StockStream(productID: productID, channel: channel, limits: limits, writes: writes) { [self] in
      givePlaceBack(of: client)
    }
  }

  private func takePlace(for client: IPAddress?) throws {
    try places.withLock { places in
      guard places.taken < maximumCount else {
        throw Problem(.overloaded, "This server has as many streams as it may.", retryAfterSeconds: 1)
      }
      if let client {
        guard places.takenByClient[client, default: 0] < maximumCountPerClient else {
          throw Problem(.overloaded, "Your address has as many streams as one may have.", retryAfterSeconds: 1)
        }
        places.takenByClient[client, default: 0] += 1
      }
      places.taken += 1
    }
  }

  private func givePlaceBack(of client: IPAddress?) {
    places.withLock { places in
      places.taken -= 1
      guard let client, let taken = places.takenByClient[client] else { return }
      places.takenByClient[client] = taken > 1 ? taken - 1 : nil
    }
  }

  /// Places taken, streams that are writing, and whether a reader has been holding up a write for this long: for tests.
  var openCount: Int { places.withLock { $0.taken } }
  var writingCount: Int { writes.count }
  func isAnyWriting(for duration: Duration) -> Bool {
    state.withLock { $0.streams }.contains { $0.isWriting(for: duration) }
  }

  /// From here on the stream is offered what differs from `initial`.
  func join(_ stream: StockStream, initial: Product) {
    let isEnding = state.withLock { state in
      if state.isEnding { return true }
      let watch: StockWatch
      if let audience = state.audiences[stream.productID] {
        watch = audience.watch
        // What changed since `initial` was read has perhaps been told to the others already.
        watch.wake()
      } else {
        watch = checkout.watchStock(of: stream.productID)
        state.audiences[stream.productID] = Audience(watch: watch)
        roundsSink.yield((stream.productID, watch))
      }
      state.audiences[stream.productID]!.newcomers[ObjectIdentifier(stream)] = Newcomer(
        stream: stream, initial: initial)
      return false
    }
    if isEnding { stream.end() }
  }

  func leave(_ stream: StockStream) {
    stream.giveBack()
    state.withLock { state in
      _ = state.audiences[stream.productID]?.newcomers.removeValue(forKey: ObjectIdentifier(stream))
      _ = state.audiences[stream.productID]?.members.removeValue(forKey: ObjectIdentifier(stream))
    }
  }

  /// Ends all streams and lets none begin: shutting down must not wait for readers who would stay for ever.
  func end() {
    for stream in state.withLock({ state in
      state.isEnding = true
      return state.streams
    }) { stream.end() }
  }

  func run() async {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.tick() }
        for await (productID, watch) in self.rounds {
          group.addTask { await self.tell(productID, watch) }
        }
        group.cancelAll()
      }
    }
    end()
  }

  // MARK: Telling

  /// Rounds for one product, until nobody watches it.
  private func tell(_ productID: Int32, _ watch: StockWatch) async {
    var last: Product?
    while !Task.isCancelled {
      let end = Moment.now + interval
      guard await tellOnce(productID, &last) else { return }
      try? await Task.sleep(for: end - .now)
      await watch.change()
    }
  }

  /// Reads the product and tells it to all to whom it is news.
  ///
  /// - Parameter last: what the members were told; nil when that is not known.
  /// - Returns: false when nobody watches.
  private func tellOnce(_ productID: Int32, _ last: inout Product?) async -> Bool {
    guard let newcomers = admitNewcomers(to: productID) else { return false }
    do {
      if let product = try await checkout.product(productID) {
        let readers = readers(of: product, newcomers: newcomers, isChanged: !product.isVerbatim(last))
        last = product
        if !readers.isEmpty { await offer(StockEvent.encode(product), to: readers, over: interval / 2) }
      }
    } catch {
      // The database is away. What the newcomers had missed is told to everybody when it is back.
      last = nil
    }
    return true
  }

  private var interval: Duration {
    let wanted = Duration.seconds(Double(openCount) / Self.eventsPerSecond)
    return min(max(wanted, Self.shortestInterval), Self.longestInterval)
  }

  /// Those who joined since the last call, members from now on. Nil when there is nobody, which ends the audience.
  private func admitNewcomers(to productID: Int32) -> [Newcomer]? {
    state.withLock { state in
      guard let newcomers = state.audiences[productID]?.newcomers else { return nil }
      state.audiences[productID]!.newcomers = [:]
      for (id, newcomer) in newcomers { state.audiences[productID]!.members[id] = newcomer.stream }
      if state.audiences[productID]!.members.isEmpty {
        state.audiences[productID] = nil
        return nil
      }
      return Array(newcomers.values)
    }
  }

  /// To whom a product that was just read is news. Those who joined while it was read wait for the next round.
  private func readers(of product: Product, newcomers: [Newcomer], isChanged: Bool) -> [StockStream] {
    guard isChanged else { return newcomers.filter { !product.isVerbatim($0.initial) }.map(\.stream) }
    var members = state.withLock { $0.audiences[product.id]?.members ?? [:] }
    for newcomer in newcomers where product.isVerbatim(newcomer.initial) {
      members[ObjectIdentifier(newcomer.stream)] = nil
    }
    return Array(members.values)
  }

  private func offer(_ event: ByteBuffer, to readers: [StockStream], over duration: Duration) async {
    let steps = max(1, Int(duration / Self.stepInterval))
    let step = max(Self.smallestStep, (readers.count + steps - 1) / steps)
    for start in stride(from: 0, to: readers.count, by: step) {
      let some = readers[start..<min(start + step, readers.count)]
      for reader in some { reader.offer(event) }
      if some.endIndex < readers.endIndex { await pause(after: some) }
    }
  }

  /// Lets others have a turn. An event loop looks for requests only when it has nothing left to write, so a round that
  /// kept it busy all the time would keep out those who buy.
  private func pause(after step: ArraySlice<StockStream>) async {
    for _ in 0..<Self.pausesAtMost {
      try? await Task.sleep(for: Self.stepInterval)
      if writes.count - stuckCount.load(ordering: .relaxed) <= Self.writesLeft { break }
    }
    let loops = Dictionary(step.map { (ObjectIdentifier($0.eventLoop), $0.eventLoop) }) { first, _ in first }
    for loop in loops.values { try? await loop.submit {}.get() }
  }

  // MARK: Time

  /// Sends heartbeats and drops readers who do not read. Looks at all streams in about the time of a pass, some at a
  /// time.
  private func tick() async {
    let pass = min(.seconds(1), limits.heartbeatInterval / 4, limits.writeTimeout / 4)
    while !Task.isCancelled {
      let (streams, isEnding) = state.withLock { ($0.streams, $0.isEnding) }
      let step = streams.count / Self.stepsOfPass + 1
      var stuck = 0
      for start in stride(from: 0, to: max(1, streams.count), by: step) {
        let now = Moment.now
        for stream in streams[start..<min(start + step, streams.count)] {
          if stream.isWriting(for: Self.stuckAfter, at: now) { stuck += 1 }
          stream.tick(now: now, isShuttingDown: isEnding)
        }
        try? await Task.sleep(for: pass / (streams.count / step + 1))
      }
      stuckCount.store(stuck, ordering: .relaxed)
    }
  }

  private static let stepsOfPass = 50
}

extension Product {
  /// Whether it looks the same to a client. Equality takes names for the same that differ in bytes.
  fileprivate func isVerbatim(_ other: Product?) -> Bool {
    other.map { self == $0 && name.isVerbatim($0.name) } ?? false
  }
}
