import Glibc
import Logging
import NIOCore
import NIOPosix
import Testing
import Time

@testable import API

/// How a listening socket drains. The server accepts no connection, so each client waits in the kernel's queue.
@Suite struct ListenerTests {
  @Test(arguments: Listener.Barrier.allCases)
  func `drain waits for connections that are not accepted yet`(barrier: Listener.Barrier) async throws {
    try await withChannelThatDoesNotAccept { channel, port in
      let client = try connect(to: port)
      defer { close(client) }
      let start = Moment.now
      await Listener(channel: channel).drain(logger: Logger(label: "test"), barriers: [barrier])
      // The server never accepts the connection, so drain uses all of its time.
      #expect(Moment.now - start >= .seconds(2))
    }
  }

  @Test(arguments: Listener.Barrier.allCases)
  func `after drain a connection attempt is neither accepted nor refused`(barrier: Listener.Barrier) async throws {
    try await withChannelThatDoesNotAccept { channel, port in
      await Listener(channel: channel).drain(logger: Logger(label: "test"), barriers: [barrier])
      let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      defer { close(client) }
      let result = callConnect(client, port)
      let error = errno
      #expect(result == -1 && error == EINPROGRESS)
      var poll = pollfd(fd: client, events: Int16(POLLOUT), revents: 0)
      #expect(Glibc.poll(&poll, 1, 300) == 0, "neither connected nor refused")
    }
  }

  private func withChannelThatDoesNotAccept(_ body: (any Channel, UInt16) async throws -> Void) async throws {
    let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .serverChannelOption(.autoRead, value: false)
      .bind(host: "127.0.0.1", port: 0).get()
    try await body(channel, UInt16(#require(channel.localAddress?.port)))
    try await channel.close()
  }

  /// The kernel completes the connection. The server takes no part in it.
  private func connect(to port: UInt16) throws -> Int32 {
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try #require(callConnect(client, port) == 0)
    return client
  }

  private func callConnect(_ client: Int32, _ port: UInt16) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
