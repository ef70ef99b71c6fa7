import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Sets up the connections of the server:
/// ```
///   bytes ⇄ HTTP/1.1 ⇄ RequestGate ⇄ FastPath ⇄ header types ⇄ router's task
/// ```
struct HTTPConnections: HTTPChannelHandler {
  typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

  let limits: RequestGate.Limits
  let draining: Draining
  let routes: FastRoutes
  let tasks: ConnectionTasks
  let responder: HTTPChannelHandler.Responder

  /// What a client can make a connection hold before anybody looks at it: a request of the common size.
  private static let readBytes = 16 * 1024

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let options = channel.syncOptions
      try options?.setOption(.maxMessagesPerRead, value: 1)
      try options?.setOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: Self.readBytes))
      let pipeline = channel.pipeline.syncOperations
      let decoder = RequestDecoder()
      // None of NIO's handlers for pipelining, errors and outbound headers: requests are kept in order and errors answered
      // by the gate and those behind it, and the only text of a client's in a header is X-Request-Id, which `RequestID` has
      // checked.
      try pipeline.addHandlers(
        AnswerEncoder(), ByteToMessageHandler(decoder),
        RequestGate(limits: limits, draining: draining, decoder: decoder), FastPath(routes: routes),
        HTTP1ToHTTPServerCodec(secure: false))
      return try NIOAsyncChannel(
        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
    }
  }

  func handle(value: Value, logger: Logger) async {
    tasks.start { await handleHTTP(asyncChannel: value, logger: logger) }
  }
}
