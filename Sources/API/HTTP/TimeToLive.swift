import NIOCore

/// The least time to live with which packets are taken (ip(7), IP_MINTTL; ipv6(7) calls it the hop count).
enum TimeToLive {
  /// - Returns: when it is set. Fails if the socket is closed.
  @discardableResult
  static func demand(_ minimum: UInt8, of channel: any Channel) -> EventLoopFuture<Void> {
    guard let options = channel as? any SocketOptionProvider else { return channel.eventLoop.makeSucceededVoidFuture() }
    // An IPv6 socket may get packets of IPv4, too.
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

/// Takes the limit off each connection that is accepted.
///
/// A connection inherits the limit when it is half made while the listening socket gets it. Its handshake ends all the same,
/// as the kernel minds the limit only afterwards: then it drops the request. Once the limit is off, it takes the
/// repetition, which the client sends 200 ms later.
final class TimeToLiveLifter: ChannelInboundHandler, Sendable {
  typealias InboundIn = any Channel

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    TimeToLive.demand(0, of: unwrapInboundIn(data))
    context.fireChannelRead(data)
  }
}
