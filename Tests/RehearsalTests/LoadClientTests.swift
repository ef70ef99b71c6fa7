import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import Rehearsal

@Suite struct LoadClientTests {
  @Test func `connections are kept, and a response has its status, headers and body`() async throws {
    try await withClient { client, server in
      for number in 0..<5 {
        let response = try await client.send("/hold/\(number)").outcome.get()
        #expect(response.status == 201 && response.isReplay && response.retryAfterSeconds == 3)
        #expect(String(decoding: response.body, as: UTF8.self) == "/hold/\(number)")
      }
      #expect(server.connectionCount == 1)
    }
  }

  @Test func `requests wait for a free connection, and that counts from the time of sending on`() async throws {
    try await withClient(connections: 2) { client, server in
      let results = await withTaskGroup(of: HTTPResult.self) { group in
        for number in 0..<20 { group.addTask { await client.send("/\(number)") } }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(results.allSatisfy { (try? $0.outcome.get().status) == 201 && $0.sent <= $0.ended })
      #expect(server.connectionCount <= 2)
    }
  }

  @Test func `a closed connection, silence and a closed port are lost responses`() async throws {
    try await withClient { client, server in
      #expect(await client.lost("/close") == LostResponse.closed.description)
      #expect(await client.lost("/silence") == LostResponse.timeout.description)
      #expect(try await client.send("/again").outcome.get().status == 201)
      try await server.stop()
      let afterwards = await client.lost("/nobody")
      #expect(afterwards?.isEmpty == false)
      #expect(await client.lost("/nobody")?.hasPrefix("cannot connect") == true)
    }
  }

  @Test func `the server's address is a host and a port`() {
    #expect(ServerAddress(url: "http://127.0.0.1:8080")?.authority == "127.0.0.1:8080")
    #expect(ServerAddress(url: "http://[::1]:8081/")?.host == "::1")
    #expect(ServerAddress(url: "http://[::1]:8081/")?.authority == "[::1]:8081")
    #expect(ServerAddress(url: "http://shop.example")?.port == 80)
    for url in [
      "https://shop.example", "shop.example", "http://", "http://a/b", "http://u@a", "http://a?b", "http://a:0",
      "http://a:70000",
    ] {
      #expect(ServerAddress(url: url) == nil, "\(url)")
    }
  }
}

/// A client and its event loop.
private struct TestClient: Sendable {
  let client: NIOLoopBound<LoadClient>
  let loop: any EventLoop

  func send(_ path: String) async -> HTTPResult {
    await withCheckedContinuation { continuation in
      loop.execute {
        client.value.send(HTTPCall(method: .POST, path: path, body: ByteBuffer(string: "{}"))) {
          continuation.resume(returning: $0)
        }
      }
    }
  }

  /// Why there was no response. Nil if there was one.
  func lost(_ path: String) async -> String? {
    guard case .failure(let lost) = await send(path).outcome else { return nil }
    return lost.description
  }
}

private func withClient(
  connections: Int = 8, _ body: (TestClient, TestServer) async throws -> Void
) async throws {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  let server = try await TestServer(group)
  let loop = group.next()
  var configuration = LoadClient.Configuration(address: server.address, authority: "test")
  configuration.connections = connections
  configuration.responseTimeout = .milliseconds(300)
  let client = try await loop.submit { [configuration] in
    NIOLoopBound(LoadClient(configuration, on: loop), eventLoop: loop)
  }.get()
  do {
    try await body(TestClient(client: client, loop: loop), server)
  } catch {
    try? await group.shutdownGracefully()
    throw error
  }
  loop.execute { client.value.close() }
  try await server.stop()
  try await group.shutdownGracefully()
}

/// Responds to each request with its path. `/close` closes the connection, and `/silence` gets no response.
private final class TestServer: Sendable {
  private let channel: any Channel
  private let connections: Connections
  let address: SocketAddress

  init(_ group: MultiThreadedEventLoopGroup) async throws {
    let connections = Connections()
    self.connections = connections
    channel = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        connections.all.withLock { $0.append(channel) }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Responder())
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    guard let address = channel.localAddress else { preconditionFailure("a bound channel has an address") }
    self.address = address
  }

  var connectionCount: Int { connections.all.withLock { $0.count } }

  func stop() async throws {
    try? await channel.close()
    for connection in connections.all.withLock({ $0 }) { try? await connection.close() }
  }

  private final class Connections: Sendable {
    let all = Mutex<[any Channel]>([])
  }

  private final class Responder: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private var path = ""

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head): path = head.uri
      case .body: break
      case .end:
        if path == "/close" { return context.close(promise: nil) }
        if path == "/silence" { return }
        let headers = HTTPHeaders([
          ("content-length", "\(path.utf8.count)"), ("idempotent-replayed", "true"), ("retry-after", "3"),
        ])
        context.write(
          wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .created, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: path)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      }
    }
  }
}
