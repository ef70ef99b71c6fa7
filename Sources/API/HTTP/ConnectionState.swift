import DequeModule
import NIOCore
import NIOHTTP1
import Time

/// The state of one HTTP/1.1 connection (RFC 9112): which request arrives, which one is responded to, and how it ends.
///
/// A pure value: `ConnectionHandler` reports events, and performs the action that each method returns.
/// ```
/// input:      idle ──first byte──▶ arriving ──last byte──▶ idle
///                                     └──refusal──▶ ended ◀──last response of the connection
/// exchanges:  waiting, in order of arrival ──next──▶ under way ──responded──▶
/// ```
/// One exchange is under way at a time, so responses have the order of the requests (RFC 9112, section 9.3.2).
struct ConnectionState {
  /// A request that has arrived, or was refused on the way.
  struct Arrival {
    /// Nil when the request was refused before its head was complete.
    var head: HTTPRequestHead?
    var body = ByteBuffer()
    var bodyLabel = BodyLabel.json
    /// When the head was complete.
    var start: Moment
    var refusal: Problem?
    /// Whether the connection ends with the response.
    fileprivate var isLast = false
  }

  enum Action: Equatable {
    case none
    /// Send 100 (Continue).
    case sendContinue
    /// Let the decoder continue behind a request for another protocol.
    case resumeDecoder
    /// Close the output once everything is written, and the connection a moment later.
    case linger
    case close
  }

  /// How a response is delimited, and what it says about the connection.
  struct Framing {
    var isHTTP10 = false
    var isChunked = false
    /// The value of `Connection`; nil for no such field.
    var connection: String?
  }

  private enum Input {
    case idle
    case arriving(Arriving)
    /// - Parameters:
    ///   - received: bytes of the connection until then.
    ///   - dropped: bytes that came afterwards and did not reach the decoder.
    case ended(received: Int, dropped: Int)
  }

  private struct Arriving {
    /// Without a head until that is complete.
    var arrival: Arrival
    var isChunked = false
    /// Where the body began, in bytes of the connection, rounded up to the end of a read.
    var bodyBegin = 0
    /// Whether the decoder stops behind the request and has to continue.
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
  /// Clients name the same host in all requests of a connection, so it is parsed once.
  private var validHost = ""
  /// Whether the read under way completed any part of a request.
  private var hasReadPart = false
  /// The decoder ignores what follows the current request.
  private var hasDecoderStopped = false
  private var isInputClosed = false
  private var isOutputClosed = false
  /// Whether the server shuts down.
  private(set) var isQuiescing = false

  /// What a chunked body may take beside its content: chunk sizes, chunk extensions and trailers.
  private static let maximumChunkOverhead = 4096

  /// Closing a connection with unread bytes resets it, and the reset may overtake the response. So input is read and dropped
  /// for a moment, up to this size.
  private static let lingerBytes = 1 << 20

  /// - Parameters:
  ///   - maximumBodyBytes: larger bodies are refused.
  ///   - isForLoopbackNames: refuse requests whose `Host` is not this machine. The page of another site can give its own name
  ///     the address of this machine; the browser then takes this server for that site (DNS rebinding).
  init(maximumBodyBytes: Int, isForLoopbackNames: Bool) {
    self.maximumBodyBytes = maximumBodyBytes
    self.isForLoopbackNames = isForLoopbackNames
  }

  // MARK: Input

  var isArriving: Bool { if case .arriving = input { true } else { false } }

  /// Neither a request arrives nor a response is due.
  var isIdle: Bool { if case .idle = input { exchange == nil && waiting.isEmpty } else { false } }

  /// Whether to read more. A client that sends without waiting for responses has at most one read's worth of requests here.
  var wantsInput: Bool { waiting.isEmpty && (!hasDecoderStopped || isArriving) }

  /// - Parameter receivedBytes: of the connection so far.
  mutating func receive(_ head: HTTPRequestHead, receivedBytes: Int, now: Moment) -> Action {
    hasReadPart = true
    switch input {
    case .idle: break
    case .arriving(let arriving) where arriving.arrival.head == nil: break
    case .arriving, .ended: return .none
    }
    let fields = FramingFields(head.headers, validHost: &validHost)
    var arriving = Arriving(arrival: Arrival(head: head, bodyLabel: fields.bodyLabel, start: now))
    if let problem = problem(with: head, fields) {
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
    // Behind other requests it would have to wait for their responses; the client continues without it after a moment.
    let canContinue = fields.hasExpectation && head.version != .http1_0 && exchange == nil && waiting.isEmpty
    return canContinue ? .sendContinue : .none
  }

  mutating func receive(_ bytes: ByteBuffer, receivedBytes: Int, now: Moment) -> Action {
    hasReadPart = true
    switch input {
    case .arriving(var arriving):
      input = .idle  // Leaves the body with one owner, so that appending does not copy it.
      let size = arriving.arrival.body.readableBytes + bytes.readableBytes
      // Most bodies come in one piece, which is kept as it is.
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

  /// The end of a request.
  mutating func receiveEnd() -> Action {
    hasReadPart = true
    guard case .arriving(let arriving) = input, arriving.arrival.head != nil else { return .none }
    input = .idle
    waiting.append(arriving.arrival)
    return arriving.isUpgradeIgnored ? .resumeDecoder : .none
  }

  /// The end of a read. Until the request has ended, the read brought bytes of this request alone, which all count.
  mutating func completeRead(receivedBytes: Int, now: Moment) -> Action {
    // The decoder passes nothing on while a head is incomplete.
    if !hasReadPart, case .idle = input { input = .arriving(Arriving(arrival: Arrival(start: now))) }
    hasReadPart = false
    switch input {
    case .arriving(let arriving) where arriving.isChunked:
      if receivedBytes - arriving.bodyBegin > maximumBodyBytes + Self.maximumChunkOverhead {
        refuse(.payloadTooLarge(maximumBytes: maximumBodyBytes), receivedBytes: receivedBytes, now: now)
      }
      return .none
    case .ended: return drop(0, receivedBytes: receivedBytes)
    default: return .none
    }
  }

  /// Input behind the last request.
  ///
  /// - Parameter count: bytes that did not reach the decoder.
  mutating func drop(_ count: Int, receivedBytes: Int) -> Action {
    guard case .ended(let received, var dropped) = input else { return .none }
    dropped += count
    input = .ended(received: received, dropped: dropped)
    let isTooMuch = receivedBytes - received + dropped > Self.lingerBytes
    return isTooMuch && exchange == nil && waiting.isEmpty ? .close : .none
  }

  /// Refuses the request that arrives. The next request is not read, because its beginning is unknown.
  mutating func refuse(_ problem: Problem, receivedBytes: Int, now: Moment) {
    var arrival = Arrival(start: now)
    switch input {
    case .idle: break
    case .arriving(let arriving): arrival = arriving.arrival
    case .ended: return
    }
    arrival.body = ByteBuffer()
    arrival.refusal = problem
    arrival.isLast = true
    input = .ended(received: receivedBytes, dropped: 0)
    waiting.append(arrival)
  }

  /// The bytes that arrived are no HTTP.
  mutating func fail(_ error: HTTPParserError, receivedBytes: Int, now: Moment) {
    // Behind the last request of the connection, which has been answered or will be.
    if case .closedConnection = error { return }
    refuse(Problem(error), receivedBytes: receivedBytes, now: now)
  }

  /// The client has closed its side. What was requested is still responded to.
  mutating func closeInput() -> Action {
    isInputClosed = true
    guard exchange == nil, waiting.isEmpty else { return .none }
    return isOutputClosed ? .close : .linger
  }

  /// The client has taken everything, and the output is closed.
  mutating func closeOutput() -> Action {
    isOutputClosed = true
    return isInputClosed ? .close : .none
  }

  private func problem(with head: HTTPRequestHead, _ fields: FramingFields) -> Problem? {
    // RFC 9112, section 3.2. A second Host may be a smuggler's.
    if fields.hostCount > 1 || fields.hostCount == 0 && head.version == .http1_1 || fields.hasInvalidHost {
      return .malformedHTTP("it does not have one Host header, with a host and at most a port")
    }
    if isForLoopbackNames, fields.hostCount > 0, Authority(validHost[...].utf8.trimmed)?.isLoopback != true {
      return .misdirectedRequest
    }
    // RFC 9112, section 6.1. Proxies may see the end of such a body elsewhere; HTTP/1.0 has no transfer encodings.
    if !fields.hasKnownTransferEncoding || fields.isChunked && head.version == .http1_0 {
      return .malformedHTTP("its Transfer-Encoding is not chunked alone, or not of HTTP/1.1")
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

  /// The next request to respond to. Nil while another one is under way, or when there is none.
  mutating func next() -> Arrival? {
    guard exchange == nil, let arrival = waiting.popFirst() else { return nil }
    exchange = Exchange(isHTTP10: arrival.head?.version == .http1_0, isLast: arrival.isLast)
    return arrival
  }

  /// How the response under way is framed.
  ///
  /// - Parameters:
  ///   - hasLength: whether the length of the body is known.
  ///   - isDraining: whether connections are to end.
  mutating func beginResponse(hasLength: Bool, isDraining: Bool) -> Framing {
    guard var exchange else { preconditionFailure("no exchange is under way") }
    // HTTP/1.0 has no chunks: the end of the connection is the end of the body (RFC 9112, section 6.3).
    if exchange.isHTTP10, !hasLength { exchange.isLast = true }
    if isDraining, waiting.isEmpty, case .idle = input { exchange.isLast = true }
    self.exchange = exchange
    return Framing(
      isHTTP10: exchange.isHTTP10 && !hasLength, isChunked: !exchange.isHTTP10 && !hasLength,
      connection: exchange.isLast ? "close" : exchange.isHTTP10 ? "keep-alive" : nil)
  }

  /// The response under way is written.
  ///
  /// - Returns: what to do unless there is a next request.
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

  mutating func quiesce() { isQuiescing = true }

  /// - Returns: `linger` when the server ends and nothing is under way.
  mutating func endIfQuiescent(receivedBytes: Int) -> Action {
    guard isQuiescing, isIdle else { return .none }
    input = .ended(received: receivedBytes, dropped: 0)
    return .linger
  }

  /// Drops what waits: the connection is gone.
  mutating func abandon() { waiting = [] }
}
