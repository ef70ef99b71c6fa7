import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
import Synchronization

/// Sets up the connections of a server:
/// ```
/// bytes ⇄ RequestDecoder ⇄ ConnectionHandler ⇄ Exchanges ⇄ routes
/// ```
struct ConnectionSetup: ServerChildChannel {
  struct Value: ServerChildChannelValue {
    let channel: any Channel
  }

  let configuration: ConnectionHandler.Configuration
  let exchanges: Exchanges
  let draining: Draining
  let connections: OpenConnections

  /// The most bytes of one read. A usual request fits.
  private static let readBytes = 16 * 1024

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let options = channel.syncOptions
      try options?.setOption(.maxMessagesPerRead, value: 1)
      try options?.setOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: Self.readBytes))
      let decoder = RequestDecoder()
      try channel.pipeline.syncOperations.addHandlers(
        ByteToMessageHandler(decoder),
        ConnectionHandler(
          configuration: configuration, exchanges: exchanges, draining: draining, decoder: decoder))
      connections.add(channel)
      return Value(channel: channel)
    }
  }

  /// Does nothing: the handlers run on the event loop, so a connection needs no task.
  func handle(value: Value, logger: Logger) async {}
}

/// Counts the open connections, so that shutdown can wait for them.
final class OpenConnections: Service {
  private struct State {
    var count = 0
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func add(_ channel: any Channel) {
    state.withLock { $0.count += 1 }
    channel.closeFuture.whenComplete { [self] _ in
      let waiter = state.withLock { state in
        state.count -= 1
        return state.count == 0 ? state.waiter.take() : nil
      }
      waiter?.resume()
    }
  }

  /// Returns when all connections are closed after graceful shutdown, or when its task is cancelled.
  ///
  /// The server must have stopped accepting connections before the graceful shutdown of this service.
  func run() async {
    try? await gracefulShutdown()
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          // `onCancel` may have run already, and then it does not find the continuation.
          if state.count == 0 || Task.isCancelled { return true }
          state.waiter = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume()
    }
  }
}
