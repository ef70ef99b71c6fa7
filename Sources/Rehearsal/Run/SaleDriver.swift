import Foundation
import NIOCore

/// Plays all buyers on one event loop: starts each at its time, sends its requests, and records what comes back.
///
/// The arrivals are open-loop. Nothing that the server does delays a buyer who has not arrived yet.
final class SaleDriver {
  struct Result: Sendable {
    var requests: [RequestRecord]
    var skipped: [Evidence.SkippedRequest]
    var end: Microseconds
  }

  /// After the last time at which a request may start, lost responses are still asked for during this time.
  private static let retryTime = Microseconds.seconds(30)
  private static let retryTimeOfInterrupted = Microseconds.seconds(5)
  private static let tickInterval = Microseconds.milliseconds(100)

  private let plan: SalePlan
  private let clock: RunClock
  private let client: LoadClient
  private let encoder: RequestEncoder
  private let loop: any EventLoop
  private let onProgress: @Sendable (SaleProgress) -> Void
  private let onEnd: (Result) -> Void

  private var buyers: [Buyer]
  private var nextArrival = 0
  private var requests: [RequestRecord] = []
  /// Requests that are due later, by a number of their own.
  private var scheduled: [Int: Evidence.SkippedRequest] = [:]
  private var scheduledCount = 0
  private var skipped: [Evidence.SkippedRequest] = []
  /// Requests without a final response.
  private var openCount = 0
  /// No request starts after this time.
  private var lastStart: Microseconds
  /// No lost response is asked for after this time.
  private var lastRetry: Microseconds
  private var isEnded = false
  private var progress = SaleProgress()
  private var nextProgress = Microseconds.perSecond
  /// Payment events that have been counted as sold.
  private var soldKeys: Set<String> = []

  /// - Parameter onEnd: called once, on the event loop.
  init(
    plan: SalePlan, clock: RunClock, client: LoadClient, encoder: RequestEncoder, loop: any EventLoop,
    onProgress: @escaping @Sendable (SaleProgress) -> Void, onEnd: @escaping (Result) -> Void
  ) {
    self.plan = plan
    self.clock = clock
    self.client = client
    self.encoder = encoder
    self.loop = loop
    self.onProgress = onProgress
    self.onEnd = onEnd
    buyers = plan.buyers.map { Buyer($0) }
    lastStart = .seconds(plan.scenario.seconds + plan.scenario.wait)
    lastRetry = lastStart + Self.retryTime
    requests.reserveCapacity(plan.buyers.count * 2)
    progress.buyers = plan.buyers.count
  }

  func start() {
    arrive()
    tick()
  }

  /// Ends the run early: no request starts any more.
  func interrupt() {
    lastStart = min(lastStart, clock.now)
    lastRetry = min(lastRetry, clock.now + Self.retryTimeOfInterrupted)
    nextArrival = buyers.count
    skipped += scheduled.values.sorted { $0.due < $1.due }
    scheduled.removeAll()
    endIfDone()
  }

  // MARK: Requests start

  private func arrive() {
    while nextArrival < buyers.count, plan.buyers[nextArrival].arrival <= clock.now {
      let buyer = nextArrival
      nextArrival += 1
      progress.arrived += 1
      perform(buyers[buyer].receive(.arrived), of: buyer, from: plan.buyers[buyer].arrival)
    }
    guard nextArrival < buyers.count else { return endIfDone() }
    loop.assumeIsolated().scheduleTask(deadline: clock.deadline(plan.buyers[nextArrival].arrival)) { self.arrive() }
  }

  /// - Parameter from: the time of the event to which the buyer reacts.
  private func perform(_ actions: [Buyer.Action], of buyer: Int, from: Microseconds) {
    for action in actions {
      let due = from + action.delay
      guard action.delay > 0 else {
        start(action, of: buyer, due: due)
        continue
      }
      let planned = Evidence.SkippedRequest(buyer: buyer, due: due, request: action.request)
      guard due <= lastStart else {
        skipped.append(planned)
        continue
      }
      let number = scheduledCount
      scheduledCount += 1
      scheduled[number] = planned
      loop.assumeIsolated().scheduleTask(deadline: clock.deadline(due)) {
        // An interrupt has removed it.
        guard self.scheduled.removeValue(forKey: number) != nil else { return }
        self.start(action, of: buyer, due: due)
      }
    }
  }

  private func start(_ action: Buyer.Action, of buyer: Int, due: Microseconds) {
    var record = RequestRecord(
      buyer: buyer, template: action.request, holdID: action.holdID, intended: due, started: clock.now)
    if action.request.kind == .payment {
      record.orderID = action.holdID.flatMap { ReservationNumber.orderID(ofHold: $0) }
      record.amount = plan.buyers[buyer].quantity * encoder.product.price
    }
    requests.append(record)
    openCount += 1
    attempt(requests.count - 1)
  }

  private func attempt(_ index: Int) {
    let call = encoder.call(for: requests[index], now: Int64(Date().timeIntervalSince1970))
    client.send(call) { self.attempted(index, $0) }
  }

  // MARK: Responses

  private func attempted(_ index: Int, _ result: HTTPResult) {
    guard !isEnded else { return }
    var attempt = RequestRecord.Attempt(
      sent: clock.time(result.sent), ended: clock.time(result.ended), status: nil)
    var response: SaleResponse?
    switch result.outcome {
    case .success(let received):
      let decoded = SaleResponse(
        status: received.status, isReplay: received.isReplay, retryAfterSeconds: received.retryAfterSeconds,
        body: received.body)
      attempt.status = decoded.status
      attempt.problem = decoded.problem
      response = decoded
    case .failure(let lost):
      attempt.lost = lost.description
      progress.lost += 1
    }
    requests[index].attempts.append(attempt)
    let delay = RetryPolicy.delay(
      afterAttempt: requests[index].attempts.count, status: response?.status,
      retryAfterSeconds: response?.retryAfterSeconds)
    if let delay {
      guard clock.now + delay <= lastRetry else { return complete(index) }
      loop.assumeIsolated().scheduleTask(in: .microseconds(delay)) { self.attempt(index) }
    } else {
      requests[index].response = response
      complete(index)
    }
  }

  private func complete(_ index: Int) {
    openCount -= 1
    let record = requests[index]
    note(record)
    let actions = buyers[record.buyer].receive(.answered(record.template, record.response))
    perform(actions, of: record.buyer, from: record.answered ?? clock.now)
    endIfDone()
  }

  // MARK: SaleProgress and end

  private func note(_ record: RequestRecord) {
    guard let response = record.response, let latency = record.latency else { return }
    progress.responsesPerSecond += 1
    progress.latencies.append(latency)
    switch record.kind {
    case .hold where response.status == 201 && !response.isReplay: progress.unitsHeld += response.quantity ?? 0
    case .hold where response.status == 409: progress.refused += 1
    case .payment where response.orderStatus == "paid" && soldKeys.insert(record.holdID ?? "").inserted:
      progress.unitsSold += plan.buyers[record.buyer].quantity
    default: break
    }
  }

  private func tick() {
    guard !isEnded else { return }
    let now = clock.now
    if now >= nextProgress {
      nextProgress += .perSecond
      progress.time = now
      progress.timeLeft = max(0, .seconds(plan.scenario.seconds) - now)
      progress.open = openCount + scheduled.count
      onProgress(progress)
      progress.latencies.removeAll(keepingCapacity: true)
      progress.responsesPerSecond = 0
    }
    if now > lastRetry { return end() }
    endIfDone()
    loop.assumeIsolated().scheduleTask(in: .microseconds(Self.tickInterval)) { self.tick() }
  }

  private func endIfDone() {
    if nextArrival == buyers.count, openCount == 0, scheduled.isEmpty { end() }
  }

  private func end() {
    guard !isEnded else { return }
    isEnded = true
    onEnd(Result(requests: requests, skipped: skipped, end: clock.now))
  }
}

@available(*, unavailable)
extension SaleDriver: Sendable {}
