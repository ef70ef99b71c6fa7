import NIOCore

/// The minimum time to live of received packets (linux/in.h, IP_MINTTL; linux/in6.h, IPV6_MINHOPCOUNT).
enum TimeToLive {
  /// - Parameter minimum: 0 removes the limit.
  /// - Returns: a future that succeeds when the minimum is set. It fails if the socket is closed.
  @discardableResult
  static func require(_ minimum: UInt8, of channel: any Channel) -> EventLoopFuture<Void> {
    guard let options = channel as? any SocketOptionProvider else { return channel.eventLoop.makeSucceededVoidFuture() }
    // An IPv6 socket may receive IPv4 packets, too.
    let v4 = options.unsafeSetSocketOption(level: .ip, name: .init(rawValue: ipMinimum), value: CInt(minimum))
    guard channel.localAddress?.protocol == .inet6 else { return v4 }
    let v6 = options.unsafeSetSocketOption(level: .ipv6, name: .init(rawValue: ipv6Minimum), value: CInt(minimum))
    return v4.and(v6).map { _ in }
  }

  /// IP_MINTTL of linux/in.h.
  private static let ipMinimum: CInt = 21
  /// IPV6_MINHOPCOUNT of linux/in6.h.
  private static let ipv6Minimum: CInt = 73
}

/// Removes the limit from each accepted connection.
///
/// A connection inherits the limit if its handshake is under way when the listening socket gets the limit. The kernel
/// applies the limit only after the handshake, so it drops the first packet of the request. When the limit is removed,
/// the kernel accepts the retransmission, which the client sends 200 ms later.
final class TimeToLiveRemover: ChannelInboundHandler, Sendable {
  typealias InboundIn = any Channel

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    TimeToLive.require(0, of: unwrapInboundIn(data))
    context.fireChannelRead(data)
  }
}
