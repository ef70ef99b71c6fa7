import Foundation
import NIOCore
import NIOPosix
import Secrets
import StandardWebhooks

/// Plays a whole sale against a running server, and collects the evidence.
package struct SaleRehearsal: Sendable {
  package struct Configuration: Sendable {
    package var scenario: Scenario
    package var server: ServerAddress
    package var adminToken: Secret
    /// Signs payment events. Nil if the server accepts unsigned ones.
    package var webhookSecret: WebhookSecret?
    /// The shell command that kills the server. Nil if nothing is killed.
    package var killCommand: String?
    /// Seconds between two kills, above 0.
    package var killInterval: Double

    package init(
      scenario: Scenario, server: ServerAddress, adminToken: Secret, webhookSecret: WebhookSecret? = nil,
      killCommand: String? = nil, killInterval: Double = 10
    ) {
      self.scenario = scenario
      self.server = server
      self.adminToken = adminToken
      self.webhookSecret = webhookSecret
      self.killCommand = killCommand
      self.killInterval = killInterval
    }
  }

  private let configuration: Configuration

  package init(_ configuration: Configuration) {
    self.configuration = configuration
  }

  /// Runs the sale. The product is paused at the end, however the run ends.
  ///
  /// - Parameters:
  ///   - interrupts: an element ends the sale early. The evidence so far is checked as usual.
  ///   - onProgress: called once a second on the event loop, so it must not block.
  /// - Throws: `RehearsalError` when the server cannot be reached, or refuses to make the product.
  package func run(
    interrupts: AsyncStream<Void>, onProgress: @escaping @Sendable (SaleProgress) -> Void
  ) async throws -> Evidence {
    let plan = SalePlan(configuration.scenario)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let evidence = try await run(plan, on: group.next(), interrupts: interrupts, onProgress: onProgress)
      try? await group.shutdownGracefully()
      return evidence
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  private func run(
    _ plan: SalePlan, on loop: any EventLoop, interrupts: AsyncStream<Void>,
    onProgress: @escaping @Sendable (SaleProgress) -> Void
  ) async throws -> Evidence {
    let clientConfiguration = LoadClient.Configuration(
      address: try configuration.server.resolve(), authority: configuration.server.authority)
    let client = try await loop.submit {
      NIOLoopBound(LoadClient(clientConfiguration, on: loop), eventLoop: loop)
    }.get()
    let caller = Caller(client: client, loop: loop)
    let admin = AdminCalls(caller: caller, token: configuration.adminToken)
    let runKey = "rehearsal-" + UUID().uuidString.lowercased()
    let product = try await admin.createProduct(
      stock: plan.scenario.stock, name: "Rehearsal \(plan.scenario.seed)", key: runKey)

    var evidence = Evidence(plan: plan, product: product)
    evidence.url = configuration.server.url
    evidence.startedAt = Int64(Date().timeIntervalSince1970)
    // The first arrival must not be late because of the preparations.
    let clock = RunClock(start: .now() + .milliseconds(100))
    await play(
      &evidence, clock, client: client, loop: loop, interrupts: interrupts, onProgress: onProgress)
    evidence.isPaused = (try? await admin.pause(product.id)) != nil
    evidence.readings = await StateReader(caller: caller, admin: admin, clock: clock)
      .read(product, after: evidence.requests)
    loop.execute { client.value.close() }
    return evidence
  }

  private func play(
    _ evidence: inout Evidence, _ clock: RunClock, client: NIOLoopBound<LoadClient>, loop: any EventLoop,
    interrupts: AsyncStream<Void>, onProgress: @escaping @Sendable (SaleProgress) -> Void
  ) async {
    let plan = evidence.plan
    let encoder = RequestEncoder(product: evidence.product, secret: configuration.webhookSecret)
    let kills = configuration.killCommand.map { KillSchedule(command: $0, interval: configuration.killInterval) }
    let (results, sink) = AsyncStream.makeStream(of: SaleDriver.Result.self)
    let interruption = Task { () -> Bool in
      for await _ in interrupts { return true }
      return false
    }
    let sale = Task {
      let driver = try await loop.submit {
        let driver = SaleDriver(
          plan: plan, clock: clock, client: client.value, encoder: encoder, loop: loop, onProgress: onProgress
        ) { result in
          sink.yield(result)
          sink.finish()
        }
        loop.assumeIsolated().scheduleTask(deadline: clock.start) { driver.start() }
        return NIOLoopBound(driver, eventLoop: loop)
      }.get()
      if await interruption.value { loop.execute { driver.value.interrupt() } }
      return driver
    }
    let killing = Task { await kills?.run(clock: clock, seconds: plan.scenario.seconds) }
    for await result in results {
      evidence.requests = result.requests
      evidence.skipped = result.skipped
      evidence.end = result.end
    }
    interruption.cancel()
    killing.cancel()
    evidence.wasInterrupted = await interruption.value
    _ = await killing.value
    _ = await sale.result
    evidence.kills = kills?.done ?? []
  }
}
