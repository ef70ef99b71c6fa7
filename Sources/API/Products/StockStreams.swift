import Addresses
import Checkout
import NIOCore
import ServiceLifecycle
import Synchronization
import Time

/// All streams of a server, and the events of those that show the stock of a product.
///
/// Each product with streams has one task. When the stock may have changed, the task runs a round: it reads the
/// product, and offers the event to all streams of the product. `Ticks` makes the events of the other streams.
final class StockStreams: Service {
  /// The most events of all streams a second, as far as `longestInterval` allows.
  private static let eventsPerSecond = 4000.0

  /// The shortest time between two rounds of a product. A stream thus has at most ten events a second, including the
  /// first event, which it gets at once.
  private static let shortestInterval: Duration = .milliseconds(120)

  /// The longest time between two rounds of a product, so that all streams get a change within a second.
  ///
  /// A change just after the start of a round waits for one interval. The last stream waits for half of the next one.
  private static let longestInterval: Duration = .milliseconds(500)

  /// The duration of a step. A round of many streams takes half its interval, in steps, so that other requests get
  /// time.
  private static let stepInterval: Duration = .milliseconds(5)
  /// The fewest streams of a step.
  private static let minimumStepCount = 20

  /// A step ends when at most this many streams are still writing, or after `maximumPauses`.
  ///
  /// Streams that have been writing for `stuckAfter` do not count, so that slow clients do not delay the others.
  private static let maximumWritesLeft = 10
  private static let maximumPauses = 20
  private static let stuckAfter: Duration = .seconds(1)

  private struct Newcomer {
    let stream: EventStream
    /// The product of the stream's first event, which was read before the stream joined.
    let initial: Product
  }

  /// The streams of one product.
  private struct ProductStreams {
    let watch: StockWatch
    var members: [ObjectIdentifier: EventStream] = [:]
    /// The streams that joined after the last read of the product.
    var newcomers: [ObjectIdentifier: Newcomer] = [:]
  }

  private struct State {
    var products: [Int32: ProductStreams] = [:]
    /// The streams of ticks.
    var others: [ObjectIdentifier: EventStream] = [:]
    var isEnding = false

    var streams: [EventStream] {
      products.values.flatMap { Array($0.members.values) + $0.newcomers.values.map(\.stream) } + others.values
    }
  }

  private struct Places {
    var taken = 0
    var takenByClient: [IPAddress: Int] = [:]
    var takenByTicks = 0
  }

  private let checkout: Checkout
  private let maximumCount: Int
  /// The most streams of one client, so that one client cannot take all places.
  private let maximumCountPerClient: Int
  /// The most streams of ticks. A tick of many products has 100 kB.
  private let maximumTicksCount: Int
  private let limits: EventStream.Limits
  private let places = Mutex(Places())
  private let writes = EventStream.Writes()
  /// The number of streams that have been writing for `stuckAfter`.
  private let stuckCount = Atomic(0)
  private let state = Mutex(State())
  private let (rounds, roundsSink) = AsyncStream.makeStream(of: (productID: Int32, watch: StockWatch).self)

  init(checkout: Checkout, maximumCount: Int, limits: EventStream.Limits) {
    self.checkout = checkout
    self.maximumCount = maximumCount
    maximumCountPerClient = max(1, maximumCount / 10)
    maximumTicksCount = min(100, maximumCount)
    self.limits = limits
  }

  /// Makes a stream and takes a place for it. The place is free again when the stream leaves, or is deinitialized.
  ///
  /// - Parameter client: the client's address. Nil if it is unknown.
  /// - Throws: an `overloaded` problem if all places, or all places of this client, are taken.
  ///   `CheckoutError.shuttingDown` after `end()`.
  func open(_ productID: Int32, for client: IPAddress?, on channel: any Channel) throws -> EventStream {
    if state.withLock({ $0.isEnding }) { throw CheckoutError.shuttingDown }
    let client = client?.client
    try takePlace(for: client)
    return EventStream(productID: productID, channel: channel, limits: limits, writes: writes) { [self] in
      givePlaceBack(of: client)
    }
  }

  /// Makes a stream of ticks, as `open` does. Operators have places of their own, so that they can watch a server whose
  /// other places are taken by buyers.
  func openTicks(on channel: any Channel) throws -> EventStream {
    if state.withLock({ $0.isEnding }) { throw CheckoutError.shuttingDown }
    try places.withLock { places in
      guard places.takenByTicks < maximumTicksCount else {
        throw Problem(.overloaded, "This server has reached its limit of streams of ticks.", retryAfterSeconds: 1)
      }
      places.takenByTicks += 1
    }
    return EventStream(productID: nil, channel: channel, limits: limits, writes: writes) { [self] in
      places.withLock { $0.takenByTicks -= 1 }
    }
  }

  private func takePlace(for client: IPAddress?) throws {
    try places.withLock { places in
      guard places.taken < maximumCount else {
        throw Problem(.overloaded, "This server has reached its limit of streams.", retryAfterSeconds: 1)
      }
      if let client {
        guard places.takenByClient[client, default: 0] < maximumCountPerClient else {
          throw Problem(.overloaded, "This address has reached its limit of streams.", retryAfterSeconds: 1)
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

  /// The number of places that are taken.
  var openCount: Int { places.withLock { $0.taken + $0.takenByTicks } }
  /// The number of streams that are writing, for tests.
  var writingCount: Int { writes.count }
  /// Whether any stream has been writing for this long, for tests.
  func isAnyWriting(for duration: Duration) -> Bool {
    state.withLock { $0.streams }.contains { $0.isWriting(for: duration) }
  }

  /// Adds a stream to its product's rounds. Its next event is the first product that differs from `initial`.
  func join(_ stream: EventStream, initial: Product) {
    let productID = initial.id
    let isEnding = state.withLock { state in
      if state.isEnding { return true }
      let watch: StockWatch
      if let known = state.products[productID] {
        watch = known.watch
        // The product may have changed after `initial` was read, and the round of that change may be over.
        watch.wake()
      } else {
        watch = checkout.watchStock(of: productID)
        state.products[productID] = ProductStreams(watch: watch)
        roundsSink.yield((productID, watch))
      }
      state.products[productID]!.newcomers[ObjectIdentifier(stream)] = Newcomer(
        stream: stream, initial: initial)
      return false
    }
    if isEnding { stream.end() }
  }

  /// Adds a stream of ticks to those that are dropped if their clients do not read, and that end at shutdown.
  func join(_ stream: EventStream) {
    let isEnding = state.withLock { state in
      if !state.isEnding { state.others[ObjectIdentifier(stream)] = stream }
      return state.isEnding
    }
    if isEnding { stream.end() }
  }

  /// Removes a stream from its product's rounds, and frees its place.
  func leave(_ stream: EventStream) {
    stream.giveBack()
    state.withLock { state in
      guard let productID = stream.productID else {
        state.others[ObjectIdentifier(stream)] = nil
        return
      }
      _ = state.products[productID]?.newcomers.removeValue(forKey: ObjectIdentifier(stream))
      _ = state.products[productID]?.members.removeValue(forKey: ObjectIdentifier(stream))
    }
  }

  /// Ends all streams and opens no new ones, because shutdown must not wait for streams without an end.
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
          group.addTask { await self.publish(productID, watch) }
        }
        group.cancelAll()
      }
    }
    end()
  }

  // MARK: Rounds

  /// Runs the rounds of one product until it has no streams.
  private func publish(_ productID: Int32, _ watch: StockWatch) async {
    var last: Product?
    while !Task.isCancelled {
      let end = Moment.now + interval
      guard await publishOnce(productID, &last) else { return }
      try? await Task.sleep(for: end - .now)
      await watch.change()
    }
  }

  /// Runs one round: reads the product, and offers it to the streams whose last product differs.
  ///
  /// - Parameter last: the last product that the members were offered. Nil if it is unknown.
  /// - Returns: false if the product has no streams.
  private func publishOnce(_ productID: Int32, _ last: inout Product?) async -> Bool {
    guard let newcomers = admitNewcomers(to: productID) else { return false }
    do {
      if let product = try await checkout.product(productID) {
        let recipients = recipients(of: product, newcomers: newcomers, isChanged: !product.isVerbatim(last))
        last = product
        if !recipients.isEmpty { await offer(StockEvent.encode(product), to: recipients, over: interval / 2) }
      }
    } catch {
      // The database is away. Newcomers may have missed a change, so the next read is offered to all streams.
      last = nil
    }
    return true
  }

  /// The time between the starts of two rounds of a product.
  private var interval: Duration {
    let wanted = Duration.seconds(Double(openCount) / Self.eventsPerSecond)
    return min(max(wanted, Self.shortestInterval), Self.longestInterval)
  }

  /// Makes the newcomers members and returns them. Nil if the product has no streams; this removes the product.
  private func admitNewcomers(to productID: Int32) -> [Newcomer]? {
    state.withLock { state in
      guard let newcomers = state.products[productID]?.newcomers else { return nil }
      state.products[productID]!.newcomers = [:]
      for (id, newcomer) in newcomers { state.products[productID]!.members[id] = newcomer.stream }
      if state.products[productID]!.members.isEmpty {
        state.products[productID] = nil
        return nil
      }
      return Array(newcomers.values)
    }
  }

  /// The streams whose last product differs. Streams that joined during the read of the product wait for the next
  /// round.
  private func recipients(of product: Product, newcomers: [Newcomer], isChanged: Bool) -> [EventStream] {
    guard isChanged else { return newcomers.filter { !product.isVerbatim($0.initial) }.map(\.stream) }
    var members = state.withLock { $0.products[product.id]?.members ?? [:] }
    for newcomer in newcomers where product.isVerbatim(newcomer.initial) {
      members[ObjectIdentifier(newcomer.stream)] = nil
    }
    return Array(members.values)
  }

  /// Offers the event to the streams in steps.
  private func offer(_ event: ByteBuffer, to recipients: [EventStream], over duration: Duration) async {
    let steps = max(1, Int(duration / Self.stepInterval))
    let count = max(Self.minimumStepCount, (recipients.count + steps - 1) / steps)
    for start in stride(from: 0, to: recipients.count, by: count) {
      let step = recipients[start..<min(start + count, recipients.count)]
      for stream in step { stream.offer(event) }
      if step.endIndex < recipients.endIndex { await pause(after: step) }
    }
  }

  /// Waits for the end of a step, and until each event loop of the step has run other work.
  ///
  /// An event loop reads requests only when it has nothing left to write. So a round without pauses would delay buyers.
  private func pause(after step: ArraySlice<EventStream>) async {
    for _ in 0..<Self.maximumPauses {
      try? await Task.sleep(for: Self.stepInterval)
      if writes.count - stuckCount.load(ordering: .relaxed) <= Self.maximumWritesLeft { break }
    }
    let loops = Dictionary(step.map { (ObjectIdentifier($0.eventLoop), $0.eventLoop) }) { first, _ in first }
    for loop in loops.values { try? await loop.submit {}.get() }
  }

  // MARK: Time

  /// Makes streams send heartbeats, and drops streams whose clients do not read.
  ///
  /// A pass over all streams takes at most about a second, in about `stepsOfPass` steps.
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
  /// Whether the products are equal and their names have the same bytes. `==` of strings ignores differences of Unicode
  /// form.
  fileprivate func isVerbatim(_ other: Product?) -> Bool {
    other.map { self == $0 && name.isVerbatim($0.name) } ?? false
  }
}
