import NIOCore
import Synchronization

/// Counts the reads that the handlers request from the connection.
final class ReadCounter: ChannelOutboundHandler, Sendable {
  typealias OutboundIn = Never

  private let reads = Mutex(0)

  var count: Int { reads.withLock { $0 } }

  func read(context: ChannelHandlerContext) { reads.withLock { $0 += 1 } }
}
