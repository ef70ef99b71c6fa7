import Logging
import NIOCore
import Time

/// The listening socket. `drain` prepares it for closing, so that no client loses its connection.
///
/// Closing a listening socket resets the connections that the kernel has established and the server has not accepted.
/// If NIO is accepting a connection at that time, the process crashes (https://github.com/apple/swift-nio/issues/2813).
/// So the server first keeps new connections out, and accepts the established ones.
struct Listener {
  let channel: any Channel

  /// If no connection has waited to be accepted for this long, none is being established either.
  private static let quietTime: Duration = .milliseconds(200)
  private static let pollingTime: Duration = .milliseconds(10)
  /// The longest time that `drain` takes.
  private static let drainTime: Duration = .seconds(2)

  /// A way to keep new connections out.
  enum Barrier: CaseIterable {
    /// A packet filter that drops SYN packets. Newer kernels require CAP_NET_ADMIN, which containers usually lack.
    case filter
    /// The kernel drops packets to the listening socket whose time to live is below 255. Most systems send lower
    /// values.
    ///
    /// It needs no privilege. It also drops the end of a handshake with SYN cookies, because that packet goes to this
    /// socket.
    case timeToLive
  }

  /// Keeps new connections out, and returns when the socket can be closed.
  ///
  /// A client that connects meanwhile gets no response. TCP tries again after a second, and then the connection is
  /// refused.
  ///
  /// - Parameters:
  ///   - logger: gets a warning if the socket cannot be drained.
  ///   - barriers: the first one that the kernel allows is used.
  func drain(logger: Logger, barriers: [Barrier] = Barrier.allCases) async {
    guard let options = channel as? any SocketOptionProvider else { return }
    do {
      try await setFirstBarrier(of: barriers, options)
      let end = Moment.now + Self.drainTime
      var lastSeen = Moment.now
      while Moment.now < end {
        let info: TCPInfo = try await options.unsafeGetSocketOption(
          level: .tcp, name: .init(rawValue: Self.tcpInfo)
        ).get()
        // The sleep may last longer than `quietTime`. So this reads the count again before it compares the time.
        let now = Moment.now
        if info.unacknowledged > 0 { lastSeen = now } else if now >= lastSeen + Self.quietTime { return }
        try await Task.sleep(for: Self.pollingTime)
      }
    } catch {
      logger.warning("connections that were not accepted yet may be reset", metadata: ["error": "\(error)"])
    }
  }

  private func setFirstBarrier(of barriers: [Barrier], _ options: any SocketOptionProvider) async throws {
    var failure: (any Error)?
    for barrier in barriers {
      do {
        switch barrier {
        case .filter:
          try await options.unsafeSetSocketOption(
            level: .socket, name: .init(rawValue: Self.attachFilter), value: Filter.ignoringNewConnections
          ).get()
        case .timeToLive:
          try await channel.pipeline.addHandler(TimeToLiveRemover(), position: .first).get()
          try await TimeToLive.require(.max, of: channel).get()
        }
        return
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// TCP_INFO (tcp(7)).
  private static let tcpInfo: CInt = 11

  /// The beginning of `struct tcp_info` of linux/tcp.h.
  private struct TCPInfo {
    let states: UInt64
    let timeouts: UInt64
    let segmentSizes: UInt64
    /// For a listening socket, the number of connections that wait to be accepted.
    let unacknowledged: UInt32
  }

  /// SO_ATTACH_FILTER (socket(7)).
  private static let attachFilter: CInt = 26

  /// `struct sock_fprog` of linux/filter.h: a program that the kernel runs for each packet to the socket.
  private struct Filter: @unchecked Sendable {
    let count: UInt16
    /// Safe to share, because it is never written again and never freed.
    let instructions: UnsafePointer<Instruction>

    /// Drops packets with SYN. At a TCP socket, packets begin with the TCP header (RFC 9293, section 3.1).
    static let ignoringNewConnections: Filter = {
      let program = [
        Instruction(code: 0x30, k: 13),  // load the byte with the flags
        Instruction(code: 0x45, ifTrue: 0, ifFalse: 1, k: 2),  // test for SYN
        Instruction(code: 0x06, k: 0),  // drop it
        Instruction(code: 0x06, k: .max),  // accept all of it
      ]
      let instructions = UnsafeMutablePointer<Instruction>.allocate(capacity: program.count)
      instructions.initialize(from: program, count: program.count)
      return Filter(count: UInt16(program.count), instructions: instructions)
    }()
  }

  /// `struct sock_filter`: an instruction of the classic Berkeley Packet Filter.
  private struct Instruction {
    let code: UInt16
    var ifTrue: UInt8 = 0
    var ifFalse: UInt8 = 0
    let k: UInt32
  }
}
