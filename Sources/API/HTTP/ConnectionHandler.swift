import NIOCore
import NIOHTTP1
import Time

/// Reads the requests of one connection, passes each to its route, and writes the responses.
///
/// `ConnectionState` decides on the actions, and this handler performs them on a channel.
final class ConnectionHandler: ChannelDuplexHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundIn = Never
  typealias OutboundOut = ByteBuffer

  struct Configuration {
    /// In bytes, for routes without a limit of their own.
    var maximumBodyBytes: Int
    /// The longest time between the first and the last byte of a request.
    var requestTimeout: TimeAmount
    /// The longest time without a request, or with a response that the client does not read.
    var idleTimeout: TimeAmount
    /// See `ConnectionState.init`.
    var isForLoopbackNames = false
  }

  /// The time between the end of the output and the end of the connection.
  private static let lingerTime = TimeAmount.seconds(1)

  /// At shutdown, an idle connection stays open for this long, because a request may be on its way.
  private static let quiescentTime = TimeAmount.milliseconds(200)

  /// At shutdown, the longest wait for the rest of a request, or for a client that does not read.
  private static let finalTime = TimeAmount.seconds(3)

  private let configuration: Configuration
  private let exchanges: Exchanges
  private let draining: Draining
  private let decoder: RequestDecoder
  private var state: ConnectionState
  /// The body that is being written, if it is a stream.
  private var stream: BodyStream?
  private var streamedBytes = 0
  private var isReadDeferred = false
  /// The time when the last response was written. Before the first one, the time when the connection began.
  private var lastResponse = NIODeadline.uptimeNanoseconds(0)
  private var arrivalTimer: Scheduled<Void>?
  private var idleTimer: Scheduled<Void>?
  private var stallTimer: Scheduled<Void>?

  /// - Parameter decoder: the decoder of this connection.
  init(configuration: Configuration, exchanges: Exchanges, draining: Draining, decoder: RequestDecoder) {
    self.configuration = configuration
    self.exchanges = exchanges
    self.draining = draining
    self.decoder = decoder
    state = ConnectionState(
      maximumBodyBytes: configuration.maximumBodyBytes, isForLoopbackNames: configuration.isForLoopbackNames)
  }

  // MARK: Beginning and end

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { begin(context) }
  }

  func channelActive(context: ChannelHandlerContext) { begin(context) }

  private func begin(_ context: ChannelHandlerContext) {
    lastResponse = context.eventLoop.now
    scheduleIdleTimer(context, in: configuration.idleTimeout)
  }

  func channelInactive(context: ChannelHandlerContext) {
    for timer in [arrivalTimer, idleTimer, stallTimer] { timer?.cancel() }
    state.abandon()
    stream?.onInputClosed()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent: quiesce(context)
    case ChannelEvent.outputClosed:
      perform(state.closeOutput(), context)
      schedule(context, in: Self.lingerTime) { _, context in context.close(promise: nil) }
    case ChannelEvent.inputClosed:
      // Nothing more arrives. An exchange under way continues.
      arrivalTimer?.cancel()
      stream?.onInputClosed()
      perform(state.closeInput(), context)
    default: break
    }
  }

  private func quiesce(_ context: ChannelHandlerContext) {
    state.quiesce()
    schedule(context, in: Self.quiescentTime) { handler, context in
      handler.perform(handler.state.endIfQuiescent(receivedBytes: handler.decoder.receivedBytes), context)
    }
    schedule(context, in: Self.finalTime) { handler, context in
      if handler.state.isArriving { handler.refuse(.requestTimeout, context) }
      if !context.channel.isWritable { context.close(promise: nil) }
    }
  }

  private func perform(_ action: ConnectionState.Action, _ context: ChannelHandlerContext) {
    switch action {
    case .none: break
    case .sendContinue: context.writeAndFlush(wrapOutboundOut(ResponseHead.continueBytes), promise: nil)
    case .resumeDecoder: decoder.resume()
    case .close: context.close(promise: nil)
    case .linger:
      // NIO closes the output after it has passed all pending writes to the kernel.
      context.close(mode: .output, promise: nil)
      schedule(context, in: state.isQuiescing ? Self.finalTime : configuration.idleTimeout) { _, context in
        context.close(promise: nil)
      }
    }
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let (bytes, now) = (decoder.receivedBytes, Moment.now)
    switch unwrapInboundIn(data) {
    case .head(let head):
      let largeBody = exchanges.routes.largeBody(of: head)
      perform(state.receive(head, largeBody: largeBody, receivedBytes: bytes, now: now), context)
    case .body(let body): perform(state.receive(body, receivedBytes: bytes, now: now), context)
    case .end:
      arrivalTimer?.cancel()
      arrivalTimer = nil
      perform(state.receiveEnd(), context)
    }
    respondToNext(context)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    perform(state.completeRead(receivedBytes: decoder.receivedBytes, now: .now), context)
    if state.isArriving, arrivalTimer == nil {
      arrivalTimer = schedule(context, in: configuration.requestTimeout) { handler, context in
        if handler.state.isArriving { handler.refuse(.requestTimeout, context) }
      }
    }
    respondToNext(context)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch error {
    case ByteToMessageDecoderError.dataReceivedInErrorState(_, let bytes):
      perform(state.drop(bytes.readableBytes, receivedBytes: decoder.receivedBytes), context)
    case let error as HTTPParserError:
      state.fail(error, receivedBytes: decoder.receivedBytes, now: .now)
      respondToNext(context)
    default: context.close(promise: nil)  // The socket failed.
    }
  }

  private func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
    state.refuse(problem, receivedBytes: decoder.receivedBytes, now: .now)
    respondToNext(context)
  }

  /// Reads only while no request waits and the client reads its responses. So one read bounds the memory of a
  /// connection.
  func read(context: ChannelHandlerContext) {
    if state.wantsInput, context.channel.isWritable { context.read() } else { isReadDeferred = true }
  }

  private func readIfDeferred(_ context: ChannelHandlerContext) {
    guard isReadDeferred, state.wantsInput, context.channel.isWritable else { return }
    isReadDeferred = false
    context.read()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stallTimer?.cancel()
    stallTimer =
      context.channel.isWritable
      ? nil
      : schedule(context, in: state.isQuiescing ? Self.finalTime : configuration.idleTimeout) { _, context in
        context.close(promise: nil)
      }
    respondToNext(context)
  }

  // MARK: Responses

  private func respondToNext(_ context: ChannelHandlerContext) {
    guard context.channel.isActive, context.channel.isWritable, let arrival = state.next() else {
      return readIfDeferred(context)
    }
    let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    exchanges.respond(to: arrival, on: context.channel) { exchange, response in
      bound.value.handler.write(response, exchange, bound.value.context)
    }
    readIfDeferred(context)
  }

  private func write(_ response: Response, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    guard context.channel.isActive else { return exchange.end(response, bytes: 0) }
    var body: ByteBuffer?
    if case .bytes(let bytes) = response.body { body = bytes }
    let framing = state.beginResponse(hasLength: body != nil, isDraining: draining.isUnderWay)
    let bytes = ResponseHead(response: response, requestID: exchange.id, framing: framing).encoded(with: body)
    context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    if case .stream(let stream) = response.body {
      write(stream, of: response, isChunked: framing.isChunked, exchange, context)
    } else {
      complete(response, exchange, bytes: body?.readableBytes ?? 0, context)
    }
  }

  private func complete(_ response: Response, _ exchange: Exchange, bytes: Int, _ context: ChannelHandlerContext) {
    exchange.end(response, bytes: bytes)
    lastResponse = context.eventLoop.now
    perform(state.completeResponse(receivedBytes: decoder.receivedBytes), context)
    if state.isIdle, idleTimer == nil { scheduleIdleTimer(context, in: configuration.idleTimeout) }
    respondToNext(context)
  }

  private func write(
    _ stream: BodyStream, of response: Response, isChunked: Bool, _ exchange: Exchange, _ context: ChannelHandlerContext
  ) {
    self.stream = stream
    streamedBytes = 0
    let loop = context.eventLoop
    let bound = NIOLoopBound((handler: self, context: context), eventLoop: loop)
    Task {
      do {
        try await stream.run { bytes in
          try await loop.flatSubmit {
            let (handler, context) = bound.value
            handler.streamedBytes += bytes.readableBytes
            return context.writeAndFlush(handler.wrapOutboundOut(isChunked ? Chunk.encoded(bytes) : bytes))
          }.get()
        }
        loop.execute {
          let (handler, context) = bound.value
          if isChunked { context.write(handler.wrapOutboundOut(Chunk.last), promise: nil) }
          handler.endStream(response, exchange, context)
        }
      } catch {
        // The last chunk is missing, so the client sees that the body is incomplete.
        loop.execute {
          let (handler, context) = bound.value
          context.close(promise: nil)
          handler.endStream(response, exchange, context)
        }
      }
    }
  }

  private func endStream(_ response: Response, _ exchange: Exchange, _ context: ChannelHandlerContext) {
    stream = nil
    context.flush()
    complete(response, exchange, bytes: streamedBytes, context)
  }

  // MARK: Timers

  /// Responses do not reschedule the timer. When it fires, it compares the time of the last response.
  private func scheduleIdleTimer(_ context: ChannelHandlerContext, in delay: TimeAmount) {
    idleTimer = schedule(context, in: delay) { handler, context in
      handler.idleTimer = nil
      // If an exchange is under way, the end of its response schedules the timer again.
      guard handler.state.isIdle else { return }
      let rest = handler.lastResponse + handler.configuration.idleTimeout - context.eventLoop.now
      if rest <= .zero { context.close(promise: nil) } else { handler.scheduleIdleTimer(context, in: rest) }
    }
  }

  @discardableResult private func schedule(
    _ context: ChannelHandlerContext, in delay: TimeAmount,
    _ action: @escaping (ConnectionHandler, ChannelHandlerContext) -> Void
  ) -> Scheduled<Void> {
    // Handlers run on the event loop of their channel.
    context.eventLoop.assumeIsolated().scheduleTask(in: delay) { action(self, context) }
  }
}

@available(*, unavailable)
extension ConnectionHandler: Sendable {}
