import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A proxy between a program and PostgreSQL. It can lose or delay messages, and close the program's connections.
package final class DatabaseProxy: Sendable {
  /// The messages that the proxy does not pass on.
  package enum Loss: Sendable {
    /// A request, and all later requests on its connection.
    case request
    /// The answer to a request, and all later answers on its connection.
    case answer
  }

  private enum Side { case program, server }

  private struct Link {
    let program: any Channel
    let server: any Channel
    /// Nil while the link passes on all messages.
    var loss: Loss?
    var heldRequests: [ByteBuffer] = []
  }

  private struct State {
    var links: [Int: Link] = [:]
    var linkCount = 0
    /// The loss that begins with the next request that contains the text.
    var plannedLoss: (loss: Loss, text: String)?
    var isFrozen = false
    /// The server's side of links whose program's side was closed, with the requests that were not passed on.
    var orphans: [(server: any Channel, requests: [ByteBuffer])] = []
    var answeredOrphans = 0
  }

  /// The connection URI of the database through the proxy.
  package let url: String
  private let serverPath: String
  private let state = Mutex(State())

  private init(url: String, serverPath: String) {
    self.url = url
    self.serverPath = serverPath
  }

  /// Lends a proxy in front of the database at `url`, which must name the directory of a Unix socket.
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

  /// Starts a loss on the next connection on which a request contains `text`.
  package func lose(_ loss: Loss, of text: String) {
    state.withLock { $0.plannedLoss = (loss, text) }
  }

  /// Whether a connection has a loss.
  package var isLosing: Bool { state.withLock { $0.links.values.contains { $0.loss != nil } } }

  /// Loses all answers until `thaw()`. The connections stay open.
  package func freeze() {
    state.withLock { $0.isFrozen = true }
  }

  /// Closes the program's side of all current links. New links pass on all messages.
  package func thaw() {
    state.withLock { state in
      state.isFrozen = false
      for id in state.links.keys { state.links[id]!.loss = .answer }
    }
    hangUp()
  }

  /// Closes the program's side of links with a loss. The server's side stays open.
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

  /// Delivers the requests that were lost on closed links, and waits until the server has answered.
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
    // The write must not run under the lock. If it fails at once, `closed(on:)` runs before it returns, and locks, too.
    let recipient = state.withLock { state -> (any Channel)? in
      guard let link = state.links[id] else {
        if side == .server { state.answeredOrphans += 1 }
        return nil
      }
      if side == .program, let planned = state.plannedLoss,
        String(decoding: bytes.readableBytesView, as: UTF8.self).contains(planned.text)
      {
        state.plannedLoss = nil
        state.links[id]!.loss = planned.loss
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
