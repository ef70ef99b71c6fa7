import DequeModule
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
    /// Whether a request has to name this machine as its host. A page of another site can give its own name the address of
    /// this machine, and the browser then takes the server for that site's (DNS rebinding).
    var isForLoopbackNames = false
  }

  /// The request line's address and the header fields, in bytes.
  static let maximumHeaderBytes = 16 * 1024
  static let maximumHeaderCount = 256

  /// What a body in chunks may take beside its content: chunk sizes, chunk extensions and trailers.
  private static let maximumChunkOverhead = 4096

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

  /// A request that has passed and whose answer is not written yet.
  private struct Unanswered {
    /// Of HTTP/1.0 a connection ends with each answer that does not say that it stays.
    let isHTTP10: Bool
    /// Whether the connection ends with the answer.
    let isLast: Bool
  }

  private let limits: Limits
  private let draining: Draining
  private let decoder: RequestDecoder
  private var input = Input.idle
  /// What has come of the body of the request that is arriving.
  private var body: ByteBuffer?
  private var bodyLabel = BodyLabel.json
  /// Clients name the same host in all requests of a connection.
  private var validHost = ""
  /// Whether the read under way has completed any part of a request.
  private var hasReadPart = false
  private var unanswered: Deque<Unanswered> = []
  /// A refusal that waits for the answers to earlier requests.
  private var refusal: (answer: Answer, requestID: String)?
  /// The decoder takes in nothing behind the request that is arriving, or has arrived.
  private var hasDecoderStopped = false
  /// Whether the decoder stops behind the request that is arriving, and is to go on.
  private var isUpgradeIgnored = false
  /// Whether the connection ends with the answer to the request that is arriving.
  private var isLastRequest = false
  /// Where the body in chunks that is arriving began, in bytes of the connection, rounded up to the end of a read. Nil when
  /// it is not in chunks.
  private var chunksBegin: Int?
  /// Where the input ended.
  private var inputEnd = 0
  /// Whether the end of the answer that is being written is the end of the connection.
  private var isAnswerEndedByConnection = false
  /// Whether this connection is to end as soon as nothing is under way on it.
  private var isQuiescing = false
  /// When the connection was made, or the last answer written after which none was outstanding.
  private var lastAnswer = NIODeadline.uptimeNanoseconds(0)
  private var arrivalTimer: Scheduled<Void>?
  private var idleTimer: Scheduled<Void>?
  private var stallTimer: Scheduled<Void>?

  /// - Parameter decoder: what decodes the requests of this connection.
  init(limits: Limits, draining: Draining, decoder: RequestDecoder) {
    self.limits = limits
    self.draining = draining
    self.decoder = decoder
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
      if case .ended = input, unanswered.isEmpty { context.close(promise: nil) }
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
    checkBytes(context)
    if case .arriving = input, arrivalTimer == nil {
      arrivalTimer = schedule(context, in: limits.requestTimeout) { gate, context in
        guard case .arriving(let head) = gate.input else { return }
        gate.refuse(.requestTimeout, head, context)
      }
    }
    context.fireChannelReadComplete()
  }

  private func receive(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let fields = FramingFields(head.headers, validHost: &validHost)
    if let problem = problem(with: head, fields) { return refuse(problem, head, context) }
    if fields.hasExpectation, head.version != .http1_0, unanswered.isEmpty {
      // Otherwise it would have to wait for the answers before it; the client goes on without it after a moment.
      let head = HTTPResponseHead(version: .http1_1, status: .continue)
      context.writeAndFlush(wrapOutboundOut(.part(.head(head))), promise: nil)
    }
    var head = head
    let isUnreadable = fields.upgrade == .unclear || head.method == .CONNECT
    isLastRequest = isUnreadable || !head.isKeepAlive
    isUpgradeIgnored = fields.upgrade == .stopsDecoder && !isLastRequest
    hasDecoderStopped = isUnreadable || fields.upgrade == .stopsDecoder && isLastRequest
    if isLastRequest {
      // In the one way that those behind know.
      head.headers.replaceOrAdd(name: HTTPField.Name.connection.rawName, value: "close")
    }
    bodyLabel = fields.bodyLabel
    chunksBegin = fields.isChunked ? decoder.receivedBytes : nil
    input = .arriving(head: head)
  }

  /// Why a request is refused by its head.
  private func problem(with head: HTTPRequestHead, _ fields: FramingFields) -> Problem? {
    // RFC 9112, section 3.2. A second one may be a smuggler's.
    if fields.hostCount > 1 || fields.hostCount == 0 && head.version == .http1_1 || fields.hasInvalidHost {
      return .malformedHTTP("it does not have one Host header, with a host and at most a port")
    }
    if limits.isForLoopbackNames, fields.hostCount > 0, !Self.isForLoopback(head) { return .misdirectedRequest }
    // RFC 9112, section 6.1. Proxies may see the end of such a body elsewhere; HTTP/1.0 has no transfer encodings.
    if !fields.hasKnownTransferEncoding || fields.isChunked && head.version == .http1_0 {
      return .malformedHTTP("its Transfer-Encoding is not chunked alone, or not of HTTP/1.1")
    }
    if let length = fields.contentLength, length > limits.maximumBodyBytes {
      return .payloadTooLarge(maximumBytes: limits.maximumBodyBytes)
    }
    // Of an older protocol it means nothing (RFC 9110, section 10.1.1).
    if fields.hasExpectation, head.version != .http1_0, let expectation = head.headers[.expect],
      !expectation.utf8.isWord("100-continue")
    {
      return .expectationFailed
    }
    return nil
  }

  private static func isForLoopback(_ head: HTTPRequestHead) -> Bool {
    head.headers.value(ofLowercased: "host").flatMap { Authority($0[...].utf8) }?.isLoopback == true
  }

  /// Looks at how much has arrived. At the end of a read, and while the request has not come to its end: then the read
  /// brought bytes of this request alone, all of which count.
  private func checkBytes(_ context: ChannelHandlerContext) {
    switch input {
    case .arriving(let head?):
      guard let chunksBegin else { return }
      if decoder.receivedBytes - chunksBegin > limits.maximumBodyBytes + Self.maximumChunkOverhead {
        refuse(.payloadTooLarge(maximumBytes: limits.maximumBodyBytes), head, context)
      }
    case .ended:
      if unanswered.isEmpty, decoder.receivedBytes - inputEnd > Self.lingerBytes { context.close(promise: nil) }
    default: break
    }
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
    if isUpgradeIgnored { decoder.goOn() }
    unanswered.append(Unanswered(isHTTP10: head.version == .http1_0, isLast: isLastRequest))
    context.fireChannelRead(
      wrapInboundOut(WholeRequest(head: head, body: body.take(), trailers: trailers, bodyLabel: bodyLabel)))
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
    endInput()
    body = nil
    var answer = problem.answer
    answer.headers.append((.connection, "close"))
    if head?.method == .HEAD { answer.body.clear() }  // RFC 9110, section 9.3.2
    refusal = (answer, RequestID.ofRequest(with: head?.headers[.xRequestID]))
    if unanswered.isEmpty { writeRefusal(context) }
  }

  private func endInput() {
    input = .ended(dropped: 0)
    inputEnd = decoder.receivedBytes
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
    if unanswered.isEmpty, dropped + count > Self.lingerBytes { context.close(promise: nil) }
  }

  // MARK: Answers

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .answer(var answer, let requestID) where isLastAnswer:
      answer.headers.append((.connection, "close"))
      endInput()
      context.write(wrapOutboundOut(.answer(answer, requestID: requestID)), promise: promise)
      answered(context)
    case .part(.head(let head)):
      context.write(wrapOutboundOut(.part(.head(begin(head)))), promise: promise)
    case .answer, .part(.end):
      context.write(data, promise: promise)
      answered(context)
    default: context.write(data, promise: promise)
    }
  }

  /// The head of an answer of the router's, as it is sent.
  private func begin(_ head: HTTPResponseHead) -> HTTPResponseHead {
    var head = head
    let request = unanswered.first
    // HTTP/1.0 knows no chunks: a body whose length is not known ends with the connection (RFC 9112, section 6.3).
    isAnswerEndedByConnection = request?.isHTTP10 == true && !head.headers.contains(name: "content-length")
    if isAnswerEndedByConnection { head.version = .http1_0 }
    // The router ends the connection behind the answer to a last request; such requests, and those of HTTP/1.0, take no
    // fast route (RFC 9112, section 9.3).
    let isLast = isLastAnswer || isAnswerEndedByConnection
    let option = isLast || request?.isLast == true ? "close" : request?.isHTTP10 == true ? "keep-alive" : nil
    if let option { head.headers.replaceOrAdd(name: HTTPField.Name.connection.rawName, value: option) }
    if isLast { endInput() }
    return head
  }

  /// Whether the connection may end with the answer that begins, and shall.
  private var isLastAnswer: Bool {
    guard draining.isUnderWay, unanswered.count == 1, case .idle = input else { return false }
    return true
  }

  private func answered(_ context: ChannelHandlerContext) {
    _ = unanswered.popFirst()
    if isAnswerEndedByConnection {
      context.flush()
      return linger(context)
    }
    guard unanswered.isEmpty else { return }
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
    guard isQuiescing, unanswered.isEmpty, case .idle = input else { return }
    endInput()
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
      guard gate.unanswered.isEmpty, case .idle = gate.input else { return }
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

extension Problem {
  fileprivate static let expectationFailed = Problem(
    .expectationFailed, "The only expectation that is met is 100-continue.")
  fileprivate static let misdirectedRequest = Problem(
    .misdirectedRequest, "This server answers for localhost, 127.0.0.1 and [::1]; Host names another.")
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
