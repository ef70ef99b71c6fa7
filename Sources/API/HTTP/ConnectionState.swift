import DequeModule
import NIOCore
import NIOHTTP1
import Time

/// The state of one HTTP/1.1 connection (RFC 9112): the request that arrives, the exchange under way, and the end.
///
/// It is a value without effects. `ConnectionHandler` reports events to it, and performs the action that each method
/// returns.
/// ```
/// input:      idle ──first byte──▶ arriving ──last byte──▶ idle
///                                     └──refusal──▶ ended ◀──last response of the connection
/// exchanges:  waiting, in order of arrival ──next──▶ under way ──responded──▶
/// ```
/// One exchange at a time is under way, so responses have the order of the requests (RFC 9112, section 9.3.2).
struct ConnectionState {
  /// A request that has arrived completely, or that was refused before that.
  struct Arrival {
    /// Nil if the request was refused before its head was complete.
    var head: HTTPRequestHead?
    var body = ByteBuffer()
    var bodyLabel = BodyLabel.json
    /// Nil if the body has the usual limit.
    fileprivate var largeBody: LargeBody?
    /// The time when the head was complete.
    var start: Moment
    var refusal: Problem?
    /// Whether the response is the last one of the connection.
    fileprivate var isLast = false
  }

  enum Action: Equatable {
    case none
    /// Send 100 (Continue).
    case sendContinue
    /// Let the decoder continue after a request for another protocol.
    case resumeDecoder
    /// Close the output when everything is written, and the connection soon after that.
    case linger
    case close
  }

  /// How a response is delimited, and its `Connection` field.
  struct Framing {
    var isHTTP10 = false
    var isChunked = false
    /// The value of `Connection`. With nil, the response has no such field.
    var connection: String?
  }

  private enum Input {
    case idle
    case arriving(Arriving)
    /// No further request is read.
    ///
    /// - Parameters:
    ///   - received: the bytes that the decoder had received at that time.
    ///   - dropped: the bytes that arrived later and did not reach the decoder.
    case ended(received: Int, dropped: Int)
  }

  private struct Arriving {
    /// It has no head until the head is complete.
    var arrival: Arrival
    /// The largest body, in bytes. It depends on the route, so it is known with the head.
    var maximumBodyBytes = 0
    var isChunked = false
    /// The bytes that the connection had received at the end of the read that completed the head.
    var bodyBegin = 0
    /// Whether the decoder stops after the request and must be made to continue.
    var isUpgradeIgnored = false
  }

  private struct Exchange {
    let isHTTP10: Bool
    var isLast: Bool
  }

  private let maximumBodyBytes: Int
  private let isForLoopbackNames: Bool
  private var input = Input.idle
  private var waiting: Deque<Arrival> = []
  private var exchange: Exchange?
  /// The last valid `Host`. The requests of a connection usually have the same `Host`, so it is parsed once.
  private var validHost = ""
  /// Whether the current read completed a part of a request.
  private var hasReadPart = false
  /// Whether the decoder ignores all input after the current request.
  private var hasDecoderStopped = false
  private var isInputClosed = false
  private var isOutputClosed = false
  /// Whether the server shuts down.
  private(set) var isQuiescing = false

  /// The most bytes of a chunked body without its content: chunk sizes, chunk extensions and trailers.
  private static let maximumChunkOverhead = 4096

  /// The most bytes that are read and dropped before the connection is closed.
  ///
  /// Closing a connection with unread bytes resets it, and the client may then lose the response.
  private static let lingerBytes = 1 << 20

  /// - Parameters:
  ///   - maximumBodyBytes: the largest body, in bytes, unless the route accepts larger ones. Larger ones are refused.
  ///   - isForLoopbackNames: whether to refuse requests whose `Host` does not name this machine. It prevents DNS
  ///     rebinding: another site resolves its own name to this machine, and its page then reads responses of this
  ///     server.
  init(maximumBodyBytes: Int, isForLoopbackNames: Bool) {
    self.maximumBodyBytes = maximumBodyBytes
    self.isForLoopbackNames = isForLoopbackNames
  }

  // MARK: Input

  var isArriving: Bool { if case .arriving = input { true } else { false } }

  /// Whether no request arrives and no response is due.
  var isIdle: Bool { if case .idle = input { exchange == nil && waiting.isEmpty } else { false } }

  /// Whether to read more. A client may pipeline requests; the server keeps at most those of one read.
  var wantsInput: Bool { waiting.isEmpty && (!hasDecoderStopped || isArriving) }

  /// The head of a request has arrived.
  ///
  /// - Parameters:
  ///   - largeBody: nil if the body has the usual limit.
  ///   - receivedBytes: the bytes that the connection has received. The same applies to the other methods.
  mutating func receive(
    _ head: HTTPRequestHead, largeBody: LargeBody? = nil, receivedBytes: Int, now: Moment
  ) -> Action {
    hasReadPart = true
    switch input {
    case .idle: break
    case .arriving(let arriving) where arriving.arrival.head == nil: break
    case .arriving, .ended: return .none
    }
    let fields = FramingFields(head.headers, validHost: &validHost)
    var arriving = Arriving(arrival: Arrival(head: head, bodyLabel: fields.bodyLabel, start: now))
    arriving.arrival.largeBody = largeBody
    arriving.maximumBodyBytes = max(maximumBodyBytes, largeBody?.maximumBytes ?? 0)
    if let problem = problem(with: head, fields, maximumBodyBytes: arriving.maximumBodyBytes) {
      input = .arriving(arriving)
      refuse(problem, receivedBytes: receivedBytes, now: now)
      return .none
    }
    let isUnreadable = fields.upgrade == .unclear || head.method == .CONNECT
    let isLast = isUnreadable || !head.isKeepAlive
    arriving.arrival.isLast = isLast
    arriving.isUpgradeIgnored = fields.upgrade == .stopsDecoder && !isLast
    hasDecoderStopped = isUnreadable || fields.upgrade == .stopsDecoder && isLast
    arriving.isChunked = fields.isChunked
    arriving.bodyBegin = receivedBytes
    input = .arriving(arriving)
    // 100 (Continue) must not precede responses to earlier requests. Without it, the client soon sends the body anyway.
    let canContinue = fields.hasExpectation && head.version != .http1_0 && exchange == nil && waiting.isEmpty
    return canContinue ? .sendContinue : .none
  }

  /// A part of a request's body has arrived.
  mutating func receive(_ bytes: ByteBuffer, receivedBytes: Int, now: Moment) -> Action {
    hasReadPart = true
    switch input {
    case .arriving(var arriving):
      input = .idle  // `arriving` now owns the body alone, so appending does not copy it.
      let maximumBodyBytes = arriving.maximumBodyBytes
      let size = arriving.arrival.body.readableBytes + bytes.readableBytes
      // Most bodies arrive in one part, which needs no copy.
      if arriving.arrival.body.readableBytes == 0 {
        arriving.arrival.body = bytes
      } else if size <= maximumBodyBytes {
        arriving.arrival.body.writeImmutableBuffer(bytes)
      }
      input = .arriving(arriving)
      if size > maximumBodyBytes {
        refuse(.payloadTooLarge(maximumBytes: maximumBodyBytes), receivedBytes: receivedBytes, now: now)
      }
      return .none
    case .ended: return drop(0, receivedBytes: receivedBytes)
    case .idle: return .none
    }
  }

  /// A request has arrived completely.
  mutating func receiveEnd() -> Action {
    hasReadPart = true
    guard case .arriving(let arriving) = input, arriving.arrival.head != nil else { return .none }
    input = .idle
    waiting.append(arriving.arrival)
    return arriving.isUpgradeIgnored ? .resumeDecoder : .none
  }

  /// A read has ended.
  ///
  /// While a request arrives, all bytes after its head belong to it. So they count towards its size.
  mutating func completeRead(receivedBytes: Int, now: Moment) -> Action {
    // The decoder passes on nothing until a head is complete. So a read without parts brought the beginning of a head.
    if !hasReadPart, case .idle = input { input = .arriving(Arriving(arrival: Arrival(start: now))) }
    hasReadPart = false
    switch input {
    case .arriving(let arriving) where arriving.isChunked:
      if receivedBytes - arriving.bodyBegin > arriving.maximumBodyBytes + Self.maximumChunkOverhead {
        refuse(.payloadTooLarge(maximumBytes: arriving.maximumBodyBytes), receivedBytes: receivedBytes, now: now)
      }
      return .none
    case .ended: return drop(0, receivedBytes: receivedBytes)
    default: return .none
    }
  }

  /// Input has arrived after the last request of the connection.
  ///
  /// - Parameter count: the bytes that did not reach the decoder.
  /// - Returns: `close` if the limit is exceeded and no response is due.
  mutating func drop(_ count: Int, receivedBytes: Int) -> Action {
    guard case .ended(let received, var dropped) = input else { return .none }
    dropped += count
    input = .ended(received: received, dropped: dropped)
    let isTooMuch = receivedBytes - received + dropped > Self.lingerBytes
    return isTooMuch && exchange == nil && waiting.isEmpty ? .close : .none
  }

  /// Refuses the request that arrives. No further request is read, because the end of this one is unknown.
  mutating func refuse(_ problem: Problem, receivedBytes: Int, now: Moment) {
    var arrival = Arrival(start: now)
    switch input {
    case .idle: break
    case .arriving(let arriving): arrival = arriving.arrival
    case .ended: return
    }
    arrival.body = ByteBuffer()
    arrival.largeBody = nil
    arrival.refusal = problem
    arrival.isLast = true
    input = .ended(received: receivedBytes, dropped: 0)
    waiting.append(arrival)
  }

  /// The received bytes are not valid HTTP.
  mutating func fail(_ error: HTTPParserError, receivedBytes: Int, now: Moment) {
    // These bytes follow the last request of the connection.
    if case .closedConnection = error { return }
    refuse(Problem(error), receivedBytes: receivedBytes, now: now)
  }

  /// The client has closed its side. Requests that arrived completely still get responses.
  mutating func closeInput() -> Action {
    isInputClosed = true
    guard exchange == nil, waiting.isEmpty else { return .none }
    return isOutputClosed ? .close : .linger
  }

  /// The output is closed: the kernel has accepted everything that was written.
  mutating func closeOutput() -> Action {
    isOutputClosed = true
    return isInputClosed ? .close : .none
  }

  private func problem(
    with head: HTTPRequestHead, _ fields: FramingFields, maximumBodyBytes: Int
  ) -> Problem? {
    // RFC 9112, section 3.2. A proxy might use the other one of two Host fields.
    if fields.hostCount > 1 || fields.hostCount == 0 && head.version == .http1_1 || fields.hasInvalidHost {
      return .malformedHTTP("it must have one Host header, with a host and an optional port")
    }
    if isForLoopbackNames, fields.hostCount > 0, Authority(validHost[...].utf8.trimmed)?.isLoopback != true {
      return .misdirectedRequest
    }
    // RFC 9112, section 6.1. A proxy might find another end of such a body. HTTP/1.0 has no transfer encodings.
    if !fields.hasKnownTransferEncoding || fields.isChunked && head.version == .http1_0 {
      return .malformedHTTP("its Transfer-Encoding must be chunked alone, and only HTTP/1.1 has it")
    }
    if let length = fields.contentLength, length > maximumBodyBytes {
      return .payloadTooLarge(maximumBytes: maximumBodyBytes)
    }
    // HTTP/1.0 has no expectations (RFC 9110, section 10.1.1).
    if fields.hasExpectation, head.version != .http1_0, let expectation = head.headers.value(ofLowercased: "expect"),
      !expectation.utf8.isWord("100-continue")
    {
      return .expectationFailed
    }
    return nil
  }

  // MARK: Exchanges

  /// Begins the exchange of the next request. Nil if an exchange is under way, or if no request waits.
  mutating func next() -> Arrival? {
    guard exchange == nil, let arrival = waiting.popFirst() else { return nil }
    exchange = Exchange(isHTTP10: arrival.head?.version == .http1_0, isLast: arrival.isLast)
    return arrival
  }

  /// Begins the response of the exchange under way.
  ///
  /// - Parameters:
  ///   - hasLength: whether the length of the body is known.
  ///   - isDraining: whether the server drains. The response is then the last one, unless another request has arrived.
  mutating func beginResponse(hasLength: Bool, isDraining: Bool) -> Framing {
    guard var exchange else { preconditionFailure("no exchange is under way") }
    // HTTP/1.0 has no chunks, so the body ends with the connection (RFC 9112, section 6.3).
    if exchange.isHTTP10, !hasLength { exchange.isLast = true }
    if isDraining, waiting.isEmpty, case .idle = input { exchange.isLast = true }
    self.exchange = exchange
    return Framing(
      isHTTP10: exchange.isHTTP10 && !hasLength, isChunked: !exchange.isHTTP10 && !hasLength,
      connection: exchange.isLast ? "close" : exchange.isHTTP10 ? "keep-alive" : nil)
  }

  /// The response of the exchange under way is written.
  ///
  /// - Returns: `none` if another request waits.
  mutating func completeResponse(receivedBytes: Int) -> Action {
    guard let exchange else { preconditionFailure("no exchange is under way") }
    self.exchange = nil
    if exchange.isLast {
      waiting = []
      if case .ended = input {} else { input = .ended(received: receivedBytes, dropped: 0) }
      return .linger
    }
    guard waiting.isEmpty else { return .none }
    return isInputClosed ? .linger : endIfQuiescent(receivedBytes: receivedBytes)
  }

  // MARK: Shutdown

  /// The server shuts down.
  mutating func quiesce() { isQuiescing = true }

  /// Ends the connection if the server shuts down and the connection is idle.
  ///
  /// - Returns: `linger` in that case, else `none`.
  mutating func endIfQuiescent(receivedBytes: Int) -> Action {
    guard isQuiescing, isIdle else { return .none }
    input = .ended(received: receivedBytes, dropped: 0)
    return .linger
  }

  /// Drops the requests that wait, because the connection is lost.
  mutating func abandon() { waiting = [] }
}
