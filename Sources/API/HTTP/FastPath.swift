import DequeModule
import NIOCore
import NIOHTTP1

/// Answers the requests of fast routes on their connection's event loop, and passes all others on.
///
/// A connection has one request under way at a time here, so that its answers are in order (RFC 9112, section 9.3.2):
/// ```
///                fast route                          its answer
///     free ──────────────────────▶ answering ─────────────────────────▶ free, takes up what was held back
///      │                               │ whatever comes meanwhile is held back
///      │ another request, passed on
///      ▼           last answer from behind
///   passing ──────────────────────────────────▶ free
///      │ whatever comes meanwhile is passed on: those behind keep the order, and know the fast routes too
/// ```
/// A client that sends on without waiting for answers, or without taking them, is not read from meanwhile.
final class FastPath: ChannelDuplexHandler {
  typealias InboundIn = WholeRequest
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = Outgoing

  private enum Inbound {
    case request(WholeRequest)
    case event(Any)
  }

  private let routes: FastRoutes
  private var isAnswering = false
  /// Whether what was held back is being taken up: answers that are made at once do not take up the next one themselves.
  private var isTakingUp = false
  /// Requests that were passed on and whose answers have not come back.
  private var passedOn = 0
  private var heldBack: Deque<Inbound> = []
  private var isReadHeldBack = false

  init(routes: FastRoutes) {
    self.routes = routes
  }

  // MARK: In

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let request = unwrapInboundIn(data)
    if isHoldingBack { heldBack.append(.request(request)) } else { take(request, context) }
  }

  /// Those behind take the end of the input as the end of the connection when nothing is under way.
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if isHoldingBack { heldBack.append(.event(event)) } else { context.fireUserInboundEventTriggered(event) }
  }

  private var isHoldingBack: Bool { isAnswering || !heldBack.isEmpty }

  /// So what a client has sent ahead, and what it has not taken, is bounded by what one read brings.
  func read(context: ChannelHandlerContext) {
    if heldBack.isEmpty && context.channel.isWritable { context.read() } else { isReadHeldBack = true }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    takeUp(context)
    context.fireChannelWritabilityChanged()
  }

  /// Nobody is left for whom to carry out what was held back.
  func channelInactive(context: ChannelHandlerContext) {
    heldBack = []
    context.fireChannelInactive()
  }

  private func readOn(_ context: ChannelHandlerContext) {
    guard isReadHeldBack, heldBack.isEmpty, context.channel.isWritable else { return }
    isReadHeldBack = false
    context.read()
  }

  /// - Returns: whether the request was passed on.
  @discardableResult private func take(_ request: WholeRequest, _ context: ChannelHandlerContext) -> Bool {
    if passedOn == 0, let (route, parameter) = routes.route(for: request.head) {
      isAnswering = true
      answer(request, route, parameter, context)
      return false
    }
    passedOn += 1
    context.fireChannelRead(wrapInboundOut(.head(request.head)))
    if let body = request.body { context.fireChannelRead(wrapInboundOut(.body(body))) }
    context.fireChannelRead(wrapInboundOut(.end(request.trailers)))
    return true
  }

  private func answer(
    _ request: WholeRequest, _ route: FastRoute, _ parameter: Substring, _ context: ChannelHandlerContext
  ) {
    let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    routes.answer(request, route, parameter, on: context.eventLoop) { answer, requestID in
      bound.value.handler.write(answer, requestID, bound.value.context)
    }
  }

  // MARK: Out

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let part = unwrapOutboundIn(data)
    if case .end = part { passedOn -= 1 }
    context.write(wrapOutboundOut(.part(part)), promise: promise)
  }

  private func write(_ answer: Answer, _ requestID: String, _ context: ChannelHandlerContext) {
    context.writeAndFlush(wrapOutboundOut(.answer(answer, requestID: requestID)), promise: nil)
    isAnswering = false
    takeUp(context)
  }

  private func takeUp(_ context: ChannelHandlerContext) {
    guard !isTakingUp else { return }
    isTakingUp = true
    var hasPassedOn = false
    while !isAnswering, context.channel.isActive, context.channel.isWritable, let next = heldBack.popFirst() {
      switch next {
      case .request(let request): hasPassedOn = take(request, context) || hasPassedOn
      case .event(let event): context.fireUserInboundEventTriggered(event)
      }
    }
    isTakingUp = false
    // Those behind wait for the end of a read, and that of the read which brought these is over.
    if hasPassedOn { context.fireChannelReadComplete() }
    readOn(context)
  }
}

@available(*, unavailable)
extension FastPath: Sendable {}
