import NIOCore
import NIOHTTP1

/// One keep-alive connection. It has at most one request at a time.
final class ClientConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundOut = HTTPClientRequestPart

  private struct Exchange {
    let sent: NIODeadline
    let completion: (HTTPResult) -> Void
    var head: HTTPResponseHead?
    var body: [UInt8] = []
  }

  private var context: ChannelHandlerContext?
  private var exchange: Exchange?
  /// Called when the connection can take the next request.
  var onFree: (ClientConnection) -> Void = { _ in }
  var onClosed: (ClientConnection) -> Void = { _ in }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  var isActive: Bool { context?.channel.isActive ?? false }

  /// Sends a request. Precondition: the connection is free.
  func send(_ call: HTTPCall, authority: String, completion: @escaping (HTTPResult) -> Void) {
    precondition(exchange == nil)
    let sent = NIODeadline.now()
    guard let context, context.channel.isActive else {
      return completion(HTTPResult(sent: sent, ended: sent, outcome: .failure(.closed)))
    }
    exchange = Exchange(sent: sent, completion: completion)
    var fields = [("host", authority)]
    if let body = call.body {
      fields.append(("content-type", "application/json"))
      fields.append(("content-length", String(body.readableBytes)))
    }
    fields.append(contentsOf: call.headers.lazy.map { ($0.name, $0.value) })
    let head = HTTPRequestHead(version: .http1_1, method: call.method, uri: call.path, headers: HTTPHeaders(fields))
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    if let body = call.body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }

  /// Gives up a request that was sent before `limit`.
  func expire(sentBefore limit: NIODeadline) {
    guard let exchange, exchange.sent < limit else { return }
    end(with: .failure(.timeout))
    context?.close(promise: nil)
  }

  func close() {
    context?.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): exchange?.head = head
    case .body(let bytes): exchange?.body.append(contentsOf: bytes.readableBytesView)
    case .end:
      guard let exchange, let head = exchange.head else { return }
      let headers = head.headers
      let response = HTTPResult.Response(
        status: Int(head.status.code), isReplay: headers.first(name: "idempotent-replayed") == "true",
        retryAfterSeconds: headers.first(name: "retry-after").flatMap { Int($0) }, body: exchange.body)
      let isReusable = head.isKeepAlive
      end(with: .success(response))
      if isReusable { onFree(self) } else { context.close(promise: nil) }
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(with: .failure(.closed))
    onClosed(self)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if error is HTTPParserError { end(with: .failure(.malformed(error))) }
    context.close(promise: nil)
  }

  private func end(with outcome: Result<HTTPResult.Response, LostResponse>) {
    guard let ended = exchange else { return }
    exchange = nil
    ended.completion(HTTPResult(sent: ended.sent, ended: .now(), outcome: outcome))
  }
}

@available(*, unavailable)
extension ClientConnection: Sendable {}
