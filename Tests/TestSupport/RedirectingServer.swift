import Hummingbird
import Logging
import Synchronization

/// A server that sends whoever calls it to an address of its own, and counts who comes there.
public final class RedirectingServer: Sendable {
  /// The base address, without a path.
  public let url: String
  private let followers: Mutex<Int>

  private init(port: Int, followers: Int = 0) {
    url = "http://127.0.0.1:\(port)"
    self.followers = Mutex(followers)
  }

  /// How many have followed a redirect.
  public var followerCount: Int { followers.withLock { $0 } }

  /// Lends a server that listens on a port of its own.
  public static func withServer(
    _ body: @escaping @Sendable (RedirectingServer) async throws -> Void
  ) async throws {
    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
    let server = Mutex<RedirectingServer?>(nil)
    let router = Router()
    router.post("elsewhere") { _, _ in
      server.withLock { $0 }?.followers.withLock { $0 += 1 }
      return "thank you"
    }
    router.post("**") { _, _ in Response(status: .temporaryRedirect, headers: [.location: "/elsewhere"]) }
    var logger = Logger(label: "redirecting")
    logger.logLevel = .critical
    let application = Application(
      router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { listening.yield($0.localAddress?.port ?? 0) }, logger: logger)
    try await withThrowingTaskGroup { group in
      group.addTask { try await application.run() }
      for await port in ports {
        let ready = RedirectingServer(port: port)
        server.withLock { $0 = ready }
        group.addTask { try await body(ready) }
        break
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}
