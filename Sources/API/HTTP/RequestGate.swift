import HTTPTypes
import NIOCore
import NIOHTTP1

/// Stands between a connection and those who answer, and lets only whole requests pass, within bounds of size and time.
///
/// ```
///            bytes of a request                        its end
///    idle ────────────────────────▶ arriving ───────────────────────▶ idle, one more to be answered
///      │ idle timeout                   │ too large, malformed, too slow
///      ▼                                ▼
///    closed ◀──────────────────────── ended: answered after those before it, then the output is closed
///               client closes, or
///               the linger bounds
/// ```
/// A server that is told to end announces with each answer that it is the last one (Connection: close; RFC 9112, section
/// 9.6): whoever hears that knows that what was sent behind the request is not carried out. Such a connection is ended
/// as one that was refused a request.
///
/// The time for a request to arrive is counted in total, so that a byte now and then does not extend it. Nothing counts
/// while requests are answered, however long that takes; but who takes so little of the answers that they pile up for that
/// long is given up.
final class RequestGate: ChannelDuplexHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = WholeRequest
  typealias OutboundIn = Outgoing
  typealias OutboundOut = Outgoing

  struct Limits {
    var maximumBodyBytes: Int
    /// From the first byte of a request to its last.
    var requestTimeout: TimeAmount
    /// For a connection without a request, and for one whose client takes nothing of an answer.
    var idleTimeout: TimeAmount
  }

  /// The request line's address and the header fields, in bytes.
  static let maximumHeaderBytes = 16 * 1024
  static let maximumHeaderCount = 256

  /// Closing a connection on which unread bytes wait resets it, and the reset may overtake the answer. So what comes
  /// after the last answer is read and dropped for a moment, up to a bound.
  private static let lingerTime = TimeAmount.seconds(1)
  private static let lingerBytes = 1 << 20

  /// When the server ends, a connection without a request is left open for this long: the next one may be on its way.
  private static let quiescentTime = TimeAmount.milliseconds(200)

  /// When the server ends, it waits no longer than this for the rest of a request, or for a client with whom answers pile up.
  private static let finalTime = TimeAmount.seconds(3)

  private enum Input {
    case idle
    /// The head is nil until it is complete.
    case arriving(head: HTTPRequestHead?)
    /// - Parameter dropped: bytes that came afterwards.
    case ended(dropped: Int)
  }

  private let limits: Limits
  private let draining: Draining
  private var input = Input.idle
  /// What has come of the body of the request that is arriving.
  private var body: ByteBuffer?
  /// Whether the read under way has completed any part of a request.
  private var hasReadPart = false
  /// Requests that passed and whose answers are not written yet.
  private var unanswered = 0
  /// A refusal that waits for the answers to earlier requests.
  private var refusal: (answer: Answer, requestID: String)?
  /// The decoder takes in nothing behind the request that is arriving, or has arrived.
  private var hasDecoderStopped = false
  /// Whether the connection ends with the answer to the request that is arriving, or has arrived.
  private var isLastRequest = false
  /// Whether the client speaks HTTP/1.0, of which a connection ends with each answer that does not say that it stays.
  private var isHTTP10 = false
  /// Whether this connection is to end as soon as nothing is under way on it.
  private var isQuiescing = false
  /// When the connection was made, or the last answer written after which none was outstanding.
  private var lastAnswer = NIODeadline.uptimeNanoseconds(0)
  private var arrivalTimer: Scheduled<Void>?
  private var idleTimer: Scheduled<Void>?
  private var stallTimer: Scheduled<Void>?

  init(limits: Limits, draining: Draining) {
    self.limits = limits
    self.draining = draining
  }

  // MARK: Life

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { begin(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    begin(context)
    context.fireChannelActive()
  }

  private func begin(_ context: ChannelHandlerContext) {
    lastAnswer = context.eventLoop.now
    scheduleIdleTimer(context, in: limits.idleTimeout)
  }

  func channelInactive(context: ChannelHandlerContext) {
    cancelTimers()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    cancelTimers()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent:
      isQuiescing = true
      _ = schedule(context, in: Self.quiescentTime) { gate, context in gate.endIfQuiescent(context) }
      _ = schedule(context, in: Self.finalTime) { gate, context in
        if case .arriving(let head) = gate.input { gate.refuse(.requestTimeout, head, context) }
        if !context.channel.isWritable { context.close(promise: nil) }
      }
      return
    case ChannelEvent.outputClosed:
      _ = schedule(context, in: Self.lingerTime) { _, context in context.close(promise: nil) }
    case ChannelEvent.inputClosed:
      // Nothing can arrive any more; what is being answered is not hurried.
      arrivalTimer?.cancel()
      if case .ended = input, unanswered == 0 { context.close(promise: nil) }
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    hasReadPart = true
    switch (unwrapInboundIn(data), input) {
    case (.head(let head), .idle), (.head(let head), .arriving(head: nil)): receive(head, context)
    case (.body(let bytes), .arriving(let head?)): receive(bytes, of: head, context)
    case (.end(let trailers), .arriving(let head?)): pass(head, trailers, context)
    case (.body(let bytes), .ended): drop(bytes.readableBytes, context)
    default: break
    }
  }

  /// Where a head has not come to its end, the decoder passes nothing on, but this.
  func channelReadComplete(context: ChannelHandlerContext) {
    if !hasReadPart, case .idle = input { input = .arriving(head: nil) }
    hasReadPart = false
    if case .arriving = input, arrivalTimer == nil {
      arrivalTimer = schedule(context, in: limits.requestTimeout) { gate, context in
        guard case .arriving(let head) = gate.input else { return }
        gate.refuse(.requestTimeout, head, context)
      }
    }
    context.fireChannelReadComplete()
  }

  private func receive(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let fields = FramingFields(head.headers)
    // RFC 9112, section 3.2. A second one may be a smuggler's.
    if fields.hostCount > 1 || fields.hostCount == 0 && head.version == .http1_1 || fields.hasInvalidHost {
      return refuse(.malformedHTTP("it does not have one Host header, with a host and at most a port"), head, context)
    }
    if let length = fields.contentLength, length > limits.maximumBodyBytes {
      return refuse(.payloadTooLarge(maximumBytes: limits.maximumBodyBytes), head, context)
    }
    // Of an older protocol it means nothing (RFC 9110, section 10.1.1).
    if fields.hasExpectation, head.version != .http1_0, let expectation = head.headers[.expect] {
      guard expectation.lowercased() == "100-continue" else { return refuse(.expectationFailed, head, context) }
      // It would have to wait for the answers before it; the client goes on without it after a moment.
      if unanswered == 0 {
        let head = HTTPResponseHead(version: .http1_1, status: .continue)
        context.writeAndFlush(wrapOutboundOut(.part(.head(head))), promise: nil)
      }
    }
    var head = head
    // The decoder stops after a request that asks for another protocol, which none here speaks.
    hasDecoderStopped = fields.asksForUpgrade || head.method == .CONNECT
    isLastRequest = hasDecoderStopped || !head.isKeepAlive
    isHTTP10 = head.version == .http1_0
    if isLastRequest {
      // In the one way that those behind know.
      head.headers.replaceOrAdd(name: HTTPField.Name.connection.rawName, value: "close")
    }
    input = .arriving(head: head)
  }

  /// What the decoder does not take in would pile up in front of it. That the client goes is noticed without reading.
  func read(context: ChannelHandlerContext) {
    if !hasDecoderStopped || isArriving { context.read() }
  }

  private var isArriving: Bool {
    if case .arriving = input { true } else { false }
  }

  private func receive(_ bytes: ByteBuffer, of head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    guard (body?.readableBytes ?? 0) + bytes.readableBytes <= limits.maximumBodyBytes else {
      return refuse(.payloadTooLarge(maximumBytes: limits.maximumBodyBytes), head, context)
    }
    // Most bodies come in one piece, which is kept as it is.
    if body?.writeImmutableBuffer(bytes) == nil { body = bytes }
  }

  private func pass(_ head: HTTPRequestHead, _ trailers: HTTPHeaders?, _ context: ChannelHandlerContext) {
    arrivalTimer?.cancel()
    arrivalTimer = nil
    input = .idle
    unanswered += 1
    context.fireChannelRead(wrapInboundOut(WholeRequest(head: head, body: body.take(), trailers: trailers)))
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch (error, input) {
    case (ByteToMessageDecoderError.dataReceivedInErrorState(_, let bytes), .ended):
      drop(bytes.readableBytes, context)
    case (_ as HTTPParserError, .ended): break
    // Behind a request that is the last of its connection; nobody waits for an answer to it.
    case (HTTPParserError.closedConnection, _): break
    case (let error as HTTPParserError, _):
      guard case .arriving(let head) = input else { return refuse(.init(error), nil, context) }
      refuse(.init(error), head, context)
    default: context.fireErrorCaught(error)
    }
  }

  // MARK: Refusals

  private func refuse(_ problem: Problem, _ head: HTTPRequestHead?, _ context: ChannelHandlerContext) {
    arrivalTimer?.cancel()
    input = .ended(dropped: 0)
    body = nil
    var answer = problem.answer
    answer.headers.append((.connection, "close"))
    if head?.method == .HEAD { answer.body.clear() }  // RFC 9110, section 9.3.2
    refusal = (answer, RequestID.ofRequest(with: head?.headers[.xRequestID]))
    if unanswered == 0 { writeRefusal(context) }
  }

  private func writeRefusal(_ context: ChannelHandlerContext) {
    guard let refusal else { return }
    self.refusal = nil
    context.writeAndFlush(wrapOutboundOut(.answer(refusal.answer, requestID: refusal.requestID)), promise: nil)
    linger(context)
  }

  private func drop(_ count: Int, _ context: ChannelHandlerContext) {
    guard case .ended(let dropped) = input else { return }
    input = .ended(dropped: dropped + count)
    if unanswered == 0, dropped + count > Self.lingerBytes { context.close(promise: nil) }
  }

  // MARK: Answers

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .answer(var answer, let requestID) where isLastAnswer:
      answer.headers.append((.connection, "close"))
      input = .ended(dropped: 0)
      context.write(wrapOutboundOut(.answer(answer, requestID: requestID)), promise: promise)
      answered(context)
    case .part(.head(var head)):
      if let connectionOption {
        head.headers.replaceOrAdd(name: HTTPField.Name.connection.rawName, value: connectionOption)
      }
      if isLastAnswer { input = .ended(dropped: 0) }
      context.write(wrapOutboundOut(.part(.head(head))), promise: promise)
    case .answer, .part(.end):
      context.write(data, promise: promise)
      answered(context)
    default: context.write(data, promise: promise)
    }
  }

  /// Whether the connection may end with the answer that begins, and shall.
  private var isLastAnswer: Bool { draining.isUnderWay && isOnlyAnswer }

  private var isOnlyAnswer: Bool {
    guard unanswered == 1, case .idle = input else { return false }
    return true
  }

  /// What an answer of the router's says about its connection (RFC 9112, section 9.3). The router ends it behind the answer
  /// to a last request; such requests, and those of HTTP/1.0, take no fast route.
  private var connectionOption: String? {
    if isLastAnswer || isLastRequest && isOnlyAnswer { return "close" }
    return isHTTP10 ? "keep-alive" : nil
  }

  private func answered(_ context: ChannelHandlerContext) {
    unanswered -= 1
    guard unanswered == 0 else { return }
    lastAnswer = context.eventLoop.now
    if refusal != nil {
      writeRefusal(context)
    } else if case .ended = input {
      context.flush()
      linger(context)
    } else if isQuiescing {
      context.flush()
      endIfQuiescent(context)
    } else if idleTimer == nil {
      scheduleIdleTimer(context, in: limits.idleTimeout)
    }
  }

  // MARK: Ends

  private func endIfQuiescent(_ context: ChannelHandlerContext) {
    guard isQuiescing, unanswered == 0, case .idle = input else { return }
    input = .ended(dropped: 0)
    linger(context)
  }

  /// The output is closed once the client has taken what is written; then the time to linger begins.
  private func linger(_ context: ChannelHandlerContext) {
    context.close(mode: .output, promise: nil)
    let limit = isQuiescing ? Self.finalTime : limits.idleTimeout
    _ = schedule(context, in: limit) { _, context in context.close(promise: nil) }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stallTimer?.cancel()
    stallTimer =
      context.channel.isWritable
      ? nil
      : schedule(context, in: isQuiescing ? Self.finalTime : limits.idleTimeout) { _, context in
        context.close(promise: nil)
      }
    context.fireChannelWritabilityChanged()
  }

  // MARK: Timers

  /// One timer for as long as requests come often enough; it looks at the time of the last answer when it fires.
  private func scheduleIdleTimer(_ context: ChannelHandlerContext, in delay: TimeAmount) {
    idleTimer = schedule(context, in: delay) { gate, context in
      gate.idleTimer = nil
      // Otherwise the next answer schedules it again.
      guard gate.unanswered == 0, case .idle = gate.input else { return }
      let rest = gate.lastAnswer + gate.limits.idleTimeout - context.eventLoop.now
      if rest <= .zero {
        context.close(promise: nil)
      } else {
        gate.scheduleIdleTimer(context, in: rest)
      }
    }
  }

  private func schedule(
    _ context: ChannelHandlerContext, in delay: TimeAmount,
    _ action: @escaping (RequestGate, ChannelHandlerContext) -> Void
  ) -> Scheduled<Void> {
    // Handlers run on their channel's event loop.
    context.eventLoop.assumeIsolated().scheduleTask(in: delay) { action(self, context) }
  }

  private func cancelTimers() {
    for timer in [arrivalTimer, idleTimer, stallTimer] { timer?.cancel() }
  }
}

@available(*, unavailable)
extension RequestGate: Sendable {}

/// The header fields that the gate looks at, found in one pass.
private struct FramingFields {
  var hostCount = 0
  /// Whether a host has what stands only around it in an address.
  var hasInvalidHost = false
  var contentLength: Int?
  var hasExpectation = false
  var asksForUpgrade = false

  init(_ headers: HTTPHeaders) {
    for (name, value) in headers {
      switch name.utf8.count {
      case 4 where name.lowercased() == "host":
        hostCount += 1
        hasInvalidHost = hasInvalidHost || value.trimmingWhiteSpace().utf8.contains { " \t/?#@".utf8.contains($0) }
      case 6 where name.lowercased() == "expect": hasExpectation = true
      case 7 where name.lowercased() == "upgrade": asksForUpgrade = true
      case 14 where name.lowercased() == "content-length": contentLength = Int(value)
      default: break
      }
    }
  }
}

extension Problem {
  fileprivate static let expectationFailed = Problem(
    .expectationFailed, "The only expectation that is met is 100-continue.")
  fileprivate static let requestTimeout = Problem(
    .requestTimeout, "The request did not arrive whole in time. Nothing was done.")

  fileprivate static func malformedHTTP(_ reason: String) -> Problem {
    Problem(.malformedRequest, "This is not a request that HTTP/1.1 knows: \(reason).")
  }

  fileprivate init(_ error: HTTPParserError) {
    self =
      switch error {
      case .headerOverflow:
        Problem(
          .headersTooLarge,
          """
          The address and headers have at most \(RequestGate.maximumHeaderBytes) bytes together, and there are at most \
          \(RequestGate.maximumHeaderCount) header fields.
          """)
      // What the decoder has no better name for is about how the length of the body is told.
      case .unknown: .malformedHTTP("its headers do not tell the length of its body")
      // Of the preface of HTTP/2, which the parser would hand over to another.
      case .paused: .malformedHTTP("it is of another version")
      default: .malformedHTTP("\(error)")
      }
  }
}
