import Logging
import NIOCore
import Time

/// The socket on which connections are accepted, and how it ends without a loss.
///
/// Closing it resets the connections that the kernel has made and nobody has accepted yet. And a connection that is being
/// accepted just then is dropped half-made, which NIO answers by ending the process (swift-nio issue 2813). So first no
/// new ones are made, and what is there is accepted.
struct Listener {
  let channel: any Channel

  /// Nobody has been waiting to be accepted for this long: then nobody is on the way either.
  private static let quietTime: Duration = .milliseconds(200)
  private static let pollingTime: Duration = .milliseconds(10)
  /// However busy it is.
  private static let drainTime: Duration = .seconds(2)

  /// What keeps new connections out.
  enum Barrier: CaseIterable {
    /// Drops SYN alone. Newer kernels want CAP_NET_ADMIN for a filter on a TCP socket, which a server in a container lacks.
    case filter
    /// Drops packets to the listening socket that did not start with the highest time to live, which hardly any system uses.
    /// Needs no privilege. Does not know the handshake of a SYN flood (cookies), which ends with a packet to this socket.
    case timeToLive
  }

  /// Returns when the socket can be closed. Whoever tries to connect meanwhile is not answered, tries again after a second,
  /// as TCP does, and is refused then.
  ///
  /// - barriers: the first that the kernel allows is used.
  func drain(logger: Logger, barriers: [Barrier] = Barrier.allCases) async {
    guard let options = channel as? any SocketOptionProvider else { return }
    do {
      try await raise(barriers, options)
      let end = Moment.now + Self.drainTime
      var lastSeen = Moment.now
      while Moment.now < end {
        let info: TCPInfo = try await options.unsafeGetSocketOption(
          level: .tcp, name: .init(rawValue: Self.tcpInfo)
        ).get()
        // However late this wakes up, it looks once more before it says that nobody is there.
        let now = Moment.now
        if info.unacknowledged > 0 { lastSeen = now } else if now >= lastSeen + Self.quietTime { return }
        try await Task.sleep(for: Self.pollingTime)
      }
    } catch {
      logger.warning("connections that nobody has accepted yet may be reset", metadata: ["error": "\(error)"])
    }
  }

  private func raise(_ barriers: [Barrier], _ options: any SocketOptionProvider) async throws {
    var failure: (any Error)?
    for barrier in barriers {
      do {
        switch barrier {
        case .filter:
          try await options.unsafeSetSocketOption(
            level: .socket, name: .init(rawValue: Self.attachFilter), value: Filter.ignoringNewConnections
          ).get()
        case .timeToLive:
          try await channel.pipeline.addHandler(TimeToLiveLifter(), position: .first).get()
          try await TimeToLive.demand(.max, of: channel).get()
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
    /// Of a listening socket: how many connections wait to be accepted.
    let unacknowledged: UInt32
  }

  /// SO_ATTACH_FILTER (socket(7)).
  private static let attachFilter: CInt = 26

  /// `struct sock_fprog` of linux/filter.h: a program that the kernel runs on each packet for the socket.
  private struct Filter: @unchecked Sendable {
    let count: UInt16
    /// Never written again nor freed, which is what makes it safe to share.
    let instructions: UnsafePointer<Instruction>

    /// Drops what begins a connection; at a TCP socket, packets begin with the TCP header (RFC 9293, section 3.1).
    static let ignoringNewConnections: Filter = {
      let program = [
        Instruction(code: 0x30, k: 13),  // load the byte with the flags
        Instruction(code: 0x45, ifTrue: 0, ifFalse: 1, k: 2),  // is SYN among them?
        Instruction(code: 0x06, k: 0),  // drop it
        Instruction(code: 0x06, k: .max),  // keep all of it
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
