import Checkout
import Foundation
import Logging
import ServiceLifecycle
import Telemetry
import TestSupport
import Testing
import Time

@testable import EventWebhooks

@Suite struct EventDelivererTests {
  static func configuration() -> EventDeliverer.Configuration {
    EventDeliverer.Configuration(policy: EndpointPolicy(allowsPrivate: true))
  }

  /// Runs a deliverer in a service group while `body` runs, and shuts it down gracefully.
  static func withDeliverer(
    _ source: any DeliverySource, _ configuration: EventDeliverer.Configuration = Self.configuration(),
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
    _ body: @escaping @Sendable (ServiceGroup) async throws -> Void
  ) async throws {
    let deliverer = EventDeliverer(source: source, configuration: configuration, logger: logger)
    // A service group counts a service as failed that returns before the shutdown.
    let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [deliverer], logger: logger))
    try await withThrowingTaskGroup { tasks in
      tasks.addTask { try await group.run() }
      tasks.addTask {
        do {
          try await body(group)
        } catch {
          await group.triggerGracefulShutdown()
          throw error
        }
        await group.triggerGracefulShutdown()
      }
      try await tasks.waitForAll()
    }
  }

  @Test func `each delivery is sent and recorded once`() async throws {
    let source = FakeSource()
    try await WebhookReceiver.with { receiver in
      // More than one claim, and more than the server holds at once.
      let deliveries = (0..<1000).map { _ in Delivery.test(to: receiver.url(), endpoint: UUID()) }
      source.add(deliveries)
      try await Self.withDeliverer(source) { _ in
        try await until("all results are recorded") { source.results.count >= deliveries.count }
      }
      #expect(Set(source.results.map(\.eventID)) == Set(deliveries.map(\.eventID)))
      #expect(source.results.count == 1000 && source.results.allSatisfy { $0.statusCode == 204 })
      #expect(source.recordedOutsideOfLease == 0)
      #expect(receiver.requests.count == 1000)
    }
  }

  @Test func `a silent receiver does not delay the others`() async throws {
    let source = FakeSource()
    let (silent, other) = (UUID(), UUID())
    try await WebhookReceiver.with(reply: { $0.path == "/silent" ? .silence : .status(200) }) { receiver in
      source.add((0..<60).map { _ in Delivery.test(to: receiver.url(path: "/silent"), endpoint: silent) })
      source.add((0..<60).map { _ in Delivery.test(to: receiver.url(), endpoint: other) })
      var configuration = Self.configuration()
      configuration.drainTime = .zero
      try await Self.withDeliverer(source, configuration) { _ in
        try await until("the others are delivered") { source.results(of: other).count == 60 }
        // Without a limit for each endpoint, these would take all places.
        try await until("places for the silent receiver are taken") {
          receiver.requests.count { $0.path == "/silent" } == 16
        }
      }
      #expect(source.results(of: silent).isEmpty)
      #expect(receiver.requests.count { $0.path == "/silent" } == 16)
    }
  }

  @Test func `a failure is recorded with its words, and logged without the URL`() async throws {
    let source = FakeSource()
    let recorder = LogRecorder()
    var configuration = Self.configuration()
    configuration.sending.time = .milliseconds(100)
    try await WebhookReceiver.with(reply: { _ in .silence }) { [configuration] receiver in
      source.add([.test(to: receiver.url(path: "/the-secret-path"))])
      try await Self.withDeliverer(source, configuration, logger: recorder.logger) { _ in
        try await until("the result is recorded") { source.results.count == 1 }
      }
    }
    #expect(source.results[0].error == "timed out" && source.results[0].statusCode == nil)
    let line = try #require(recorder.lines.first { $0.message == "an event was not delivered" })
    #expect(line.metadata["reason"] == "timed_out" && line.metadata["detail"] == "timed out")
    #expect(!recorder.lines.contains { "\($0)".contains("the-secret-path") })
  }

  @Test func `at shutdown a delivery that is under way ends and is recorded`() async throws {
    let source = FakeSource()
    try await WebhookReceiver.with(reply: { _ in .late(200, after: .milliseconds(300)) }) { receiver in
      source.add([.test(to: receiver.url())])
      try await Self.withDeliverer(source) { _ in
        try await until("the request has come") { receiver.requests.count == 1 }
      }
      #expect(source.results.map(\.statusCode) == [200])
    }
  }

  @Test func `at shutdown a delivery without a response is left to its lease`() async throws {
    let source = FakeSource()
    try await WebhookReceiver.with(reply: { _ in .silence }) { receiver in
      source.add([.test(to: receiver.url())])
      var configuration = Self.configuration()
      configuration.drainTime = .milliseconds(50)
      let start = Moment.now
      try await Self.withDeliverer(source, configuration) { _ in
        try await until("the request has come") { receiver.requests.count == 1 }
      }
      #expect(source.results.isEmpty && start.duration(to: .now) < .seconds(14))
    }
  }

  @Test func `claims and records go on when the database is back`() async throws {
    let source = FakeSource()
    source.fail(3)
    try await WebhookReceiver.with { receiver in
      source.add([.test(to: receiver.url())])
      try await Self.withDeliverer(source) { _ in
        try await until("the result is recorded") { source.results.count == 1 }
        source.fail(2)
        source.add([.test(to: receiver.url())])
        try await until("the second result is recorded") { source.results.count == 2 }
      }
      // A result that could not be recorded is kept. The event is not sent again.
      #expect(receiver.requests.count == 2)
    }
  }

  @Test func `an idle server asks once a second, and an event wakes it`() async throws {
    let source = FakeSource()
    try await WebhookReceiver.with { receiver in
      try await Self.withDeliverer(source) { _ in
        try await until("the deliverer runs") { source.claims >= 1 }
        let start = Moment.now
        for count in 1...5 {
          source.add([.test(to: receiver.url())])
          try await until("the event has come") { receiver.requests.count == count }
        }
        // Polling alone would need five seconds.
        #expect(start.duration(to: .now) < .seconds(4))
      }
      #expect(source.claims < 60, "\(source.claims)")
    }
  }

  @Test func `deliveries are counted by result, with the lag of the first attempt`() async throws {
    let registry = MetricsRegistry(MetricDescription.eventWebhooks)
    let source = FakeSource()
    var configuration = Self.configuration()
    configuration.metrics = registry
    try await WebhookReceiver.with(reply: { $0.path == "/bad" ? .status(500) : .status(200) }) {
      [configuration] receiver in
      source.add([
        .test(to: receiver.url()), .test(to: receiver.url(), attempt: 2), .test(to: receiver.url(path: "/bad")),
      ])
      try await Self.withDeliverer(source, configuration) { _ in
        try await until("all are recorded") { source.results.count == 3 }
      }
    }
    var text = PrometheusText()
    registry.write(into: &text)
    let samples = try PrometheusSamples(parsing: text.text)
    #expect(samples["flashsale_event_deliveries_total", ["result": "delivered"]] == 2)
    #expect(samples["flashsale_event_deliveries_total", ["result": "refused"]] == 1)
    #expect(samples["flashsale_event_deliveries_total", ["result": "timed_out"]] == 0)
    #expect(samples["flashsale_event_delivery_lag_seconds_count"] == 1)
  }
}
