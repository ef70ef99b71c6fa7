import NIOCore
import Synchronization

/// Stands for a connection and counts how often it is to be read from.
final class ReadCounter: ChannelOutboundHandler, Sendable {
  typealias OutboundIn = Never

  private let reads = Mutex(0)

  var count: Int { reads.withLock { $0 } }

  func read(context: ChannelHandlerContext) { reads.withLock { $0 += 1 } }
}
