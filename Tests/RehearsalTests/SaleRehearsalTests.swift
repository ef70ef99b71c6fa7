import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Secrets
import Testing

@testable import Rehearsal

/// Whole runs against a shop in memory.
@Suite(.timeLimit(.minutes(2))) struct SaleRehearsalTests {
  private static func report(
    _ shop: FakeShop, seconds: Double = 0.5, interrupts: AsyncStream<Void>? = nil
  ) async throws -> Report {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let server = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Shop(shop))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    var scenario = Scenario()
    (scenario.buyers, scenario.stock, scenario.seconds, scenario.wait) = (200, 60, seconds, 8)
    (scenario.early, scenario.fail) = (0.2, 0.2)
    let address = try #require(ServerAddress(url: "http://127.0.0.1:\(server.localAddress?.port ?? 0)"))
    let rehearsal = SaleRehearsal(
      .init(scenario: scenario, server: address, adminToken: Secret("a token of the tests")))
    let evidence = try await rehearsal.run(interrupts: interrupts ?? AsyncStream { _ in }) { _ in }
    try await server.close()
    try await group.shutdownGracefully()
    return Report(evidence)
  }

  @Test func `a correct shop passes all checks, and its product is paused`() async throws {
    let shop = FakeShop()
    let report = try await Self.report(shop)
    #expect(report.holds, "\(report.text)")
    #expect(shop.isPaused && report.statistics.soldOut != nil && report.statistics.unitsPaid > 0)
    #expect(report.statistics.verdicts["parked"] ?? 0 > 0)
  }

  @Test func `lost responses are asked for again under the same key`() async throws {
    let report = try await Self.report(FakeShop(.losesResponses))
    // A lost first response makes all known ones replays, and that is no violation.
    #expect(report.holds, "\(report.text)")
    #expect(report.statistics.lostAttempts > 20)
  }

  @Test func `a shop that oversells or forgets is found out`() async throws {
    let oversold = try await Self.report(FakeShop(.oversells))
    #expect(oversold.checks.filter { !$0.holds }.map(\.name).contains("never_oversold"), "\(oversold.text)")
    let forgotten = try await Self.report(FakeShop(.forgetsHolds))
    #expect(forgotten.checks.filter { !$0.holds }.map(\.name).contains("nothing_lost"), "\(forgotten.text)")
  }

  @Test func `an interrupt ends the sale early, and the product is paused`() async throws {
    let shop = FakeShop()
    // The sale would last longer than the test may.
    let report = try await Self.report(
      shop, seconds: 600,
      interrupts: AsyncStream { sink in
        sink.yield()
      })
    #expect(report.evidence.wasInterrupted && !report.holds && shop.isPaused)
    #expect(report.evidence.requests.count < 200)
  }

  private final class Shop: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let shop: FakeShop
    private var head: HTTPRequestHead?
    private var body = Data()

    init(_ shop: FakeShop) { self.shop = shop }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head): (self.head, body) = (head, Data())
      case .body(let bytes): body.append(contentsOf: bytes.readableBytesView)
      case .end:
        guard let head else { return }
        let key = head.headers.first(name: "idempotency-key")
        guard let response = shop.respond(head.method.rawValue, head.uri, key: key, body: body) else {
          return context.close(promise: nil)
        }
        var headers = HTTPHeaders([("content-length", "\(response.body.utf8.count)")])
        if response.isReplay { headers.add(name: "idempotent-replayed", value: "true") }
        let status = HTTPResponseStatus(statusCode: response.status)
        context.write(
          wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: response.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      }
    }
  }
}
