import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// Stands between a program and its PostgreSQL: it loses what one says to the other, or delivers it late, and hangs up on
/// the program.
package final class DatabaseProxy: Sendable {
  /// What is held back.
  package enum Loss: Sendable {
    /// A request and all that follow on its connection.
    case request
    /// The answer to a request, and all that follow on its connection.
    case answer
  }

  private enum Side { case program, server }

  private struct Link {
    let program: any Channel
    let server: any Channel
    /// What is held back on it, if anything.
    var loss: Loss?
    var heldRequests: [ByteBuffer] = []
  }

  private struct State {
    var links: [Int: Link] = [:]
    var linkCount = 0
    /// What will be lost, the next time a request contains a text.
    var trap: (loss: Loss, text: String)?
    var isFrozen = false
    /// The server's ends of links whose program was hung up on, with what they have not heard.
    var orphans: [(server: any Channel, requests: [ByteBuffer])] = []
    var answeredOrphans = 0
  }

  /// The same database, through the proxy.
  package let url: String
  private let serverPath: String
  private let state = Mutex(State())

  private init(url: String, serverPath: String) {
    self.url = url
    self.serverPath = serverPath
  }

  /// Lends a proxy in front of the database that `url` leads to by the directory of a Unix socket.
  package static func with<Result: Sendable>(
    _ url: String, _ body: @Sendable (DatabaseProxy) async throws -> Result
  ) async throws -> Result {
    let directory = temporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    guard let host = URLComponents(string: url)?.host else { throw Unexpected("\(url) has no host") }
    func encoded(_ path: String) -> String { path.replacing("/", with: "%2F") }
    let socket = "/.s.PGSQL.5432"
    let proxy = DatabaseProxy(
      url: url.replacing(encoded(host), with: encoded(directory)), serverPath: host + socket)
    guard proxy.url != url else { throw Unexpected("\(url) does not name the directory of a socket") }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      _ = try await ServerBootstrap(group: group)
        .childChannelOption(.autoRead, value: false)
        .childChannelInitializer { proxy.link($0) }
        .bind(unixDomainSocketPath: directory + socket).get()
      let result = try await body(proxy)
      try await group.shutdownGracefully()
      return result
    } catch {
      try await group.shutdownGracefully()
      throw error
    }
  }

  /// Loses something once, on the connection on which a request contains `text`.
  package func lose(_ loss: Loss, of text: String) {
    state.withLock { $0.trap = (loss, text) }
  }

  /// Whether such a request has come.
  package var isLosing: Bool { state.withLock { $0.links.values.contains { $0.loss != nil } } }

  /// Loses all answers to whatever is asked until it thaws, on connections that stay open.
  package func freeze() {
    state.withLock { $0.isFrozen = true }
  }

  /// Hangs up on the program wherever something was lost, and passes what comes then.
  package func thaw() {
    state.withLock { state in
      state.isFrozen = false
      for id in state.links.keys { state.links[id]!.loss = .answer }
    }
    hangUp()
  }

  /// Hangs up on the program where something was lost. The server hears nothing of it.
  package func hangUp() {
    let programs = state.withLock { state in
      let lost = state.links.filter { $0.value.loss != nil }
      for (id, link) in lost {
        state.links[id] = nil
        state.orphans.append((link.server, link.heldRequests))
      }
      return lost.values.map(\.program)
    }
    for program in programs { program.close(promise: nil) }
  }

  /// Delivers the requests that were held back when the program was hung up on, and returns when the server has answered
  /// them.
  package func deliverLate() async throws {
    let orphans = state.withLock { state in
      state.answeredOrphans = 0
      return state.orphans.filter { !$0.requests.isEmpty }
    }
    for (server, requests) in orphans { for bytes in requests { server.writeAndFlush(bytes, promise: nil) } }
    try await until("the server has answered") { state.withLock { $0.answeredOrphans >= orphans.count } }
  }

  // MARK: Links

  private func link(_ program: any Channel) -> EventLoopFuture<Void> {
    let id = state.withLock { state in
      state.linkCount += 1
      return state.linkCount
    }
    return ClientBootstrap(group: program.eventLoop)
      .channelInitializer { server in
        server.eventLoop.makeCompletedFuture {
          try server.pipeline.syncOperations.addHandler(Receiver(proxy: self, id: id, side: .server))
        }
      }
      .connect(unixDomainSocketPath: serverPath)
      .flatMapThrowing { [self] server in
        state.withLock { $0.links[id] = Link(program: program, server: server) }
        try program.pipeline.syncOperations.addHandler(Receiver(proxy: self, id: id, side: .program))
      }
      .flatMap { program.setOption(.autoRead, value: true) }
  }

  private func received(_ bytes: ByteBuffer, from side: Side, on id: Int) {
    // A write may fail at once, and its channel end, of which we hear before the write returns: so not under the lock.
    let recipient = state.withLock { state -> (any Channel)? in
      guard let link = state.links[id] else {
        if side == .server { state.answeredOrphans += 1 }
        return nil
      }
      if side == .program, let trap = state.trap,
        String(decoding: bytes.readableBytesView, as: UTF8.self).contains(trap.text)
      {
        state.trap = nil
        state.links[id]!.loss = trap.loss
      }
      switch (side, state.links[id]!.loss) {
      case (.program, .request):
        state.links[id]!.heldRequests.append(bytes)
        return nil
      case (.program, _): return link.server
      case (.server, .answer): return nil
      case (.server, _): return state.isFrozen ? nil : link.program
      }
    }
    recipient?.writeAndFlush(bytes, promise: nil)
  }

  private func closed(on id: Int) {
    let link = state.withLock { $0.links.removeValue(forKey: id) }
    link?.program.close(promise: nil)
    link?.server.close(promise: nil)
  }

  private final class Receiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let proxy: DatabaseProxy
    let id: Int
    let side: Side

    init(proxy: DatabaseProxy, id: Int, side: Side) {
      self.proxy = proxy
      self.id = id
      self.side = side
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      proxy.received(unwrapInboundIn(data), from: side, on: id)
    }

    func channelInactive(context: ChannelHandlerContext) {
      proxy.closed(on: id)
    }
  }
}
