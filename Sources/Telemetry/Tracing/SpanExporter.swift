import AsyncHTTPClient
import Logging
import NIOCore
import Secrets
import ServiceLifecycle

/// Sends finished spans to an OpenTelemetry collector by OTLP over HTTP, in JSON
/// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). What the collector does not take is dropped: a trace is not
/// worth holding anything up for.
package struct SpanExporter: Service, CustomStringConvertible {
  /// Short: a group of services prints it.
  package var description: String { "SpanExporter" }

  /// The longest time that a span waits to be sent.
  private static let interval: Duration = .seconds(1)

  /// What the collector has not taken by then is dropped. Twice this is shorter than a shutdown may take: one sending may
  /// be under way when it begins, and the last one follows.
  private static let timeLimit: TimeAmount = .seconds(3)

  /// The largest answer that is read, to have the connection free for the next request.
  private static let maximumAnswerBytes = 1 << 20

  /// Where spans go, and as whose.
  package struct Collector: Sendable {
    /// Its base address, such as `http://localhost:4318`.
    package var endpoint: String
    package var serviceName: String
    /// Sent with each request; collectors take their keys so.
    package var headers: [(name: String, value: Secret)]

    package init(endpoint: String, serviceName: String, headers: [(name: String, value: Secret)] = []) {
      self.endpoint = endpoint
      self.serviceName = serviceName
      self.headers = headers
    }

    fileprivate var url: String { endpoint + (endpoint.hasSuffix("/") ? "" : "/") + "v1/traces" }
  }

  private let queue: SpanQueue
  private let collector: Collector
  private let timeLimit: TimeAmount
  private let logger: Logger

  package init(queue: SpanQueue, collector: Collector, logger: Logger) {
    self.init(queue: queue, collector: collector, timeLimit: Self.timeLimit, logger: logger)
  }

  init(queue: SpanQueue, collector: Collector, timeLimit: TimeAmount, logger: Logger) {
    self.queue = queue
    self.collector = collector
    self.timeLimit = timeLimit
    self.logger = logger
  }

  /// Sends until graceful shutdown, and then what is left.
  package func run() async throws {
    var configuration = HTTPClient.Configuration()
    // The next batch is the next attempt.
    configuration.connectionPool.retryConnectionEstablishment = false
    // A redirect could lead the headers' secrets elsewhere.
    configuration.redirectConfiguration = .disallow
    try await HTTPClient.withHTTPClient(configuration: configuration) { client in
      await withDiscardingTaskGroup { group in
        group.addTask {
          while (try? await Task.sleep(for: Self.interval)) != nil { queue.wake.yield() }
        }
        await withGracefulShutdownHandler {
          var isFailing = false
          for await _ in queue.wakeups { await sendAll(with: client, isFailing: &isFailing) }
          await sendAll(with: client, isFailing: &isFailing)
        } onGracefulShutdown: {
          queue.wake.finish()
        }
        group.cancelAll()
      }
    }
  }

  private func sendAll(with client: HTTPClient, isFailing: inout Bool) async {
    let spans = queue.takeAll()
    let deadline = NIODeadline.now() + timeLimit
    var start = 0
    while start < spans.count {
      let batch = spans[start..<min(start + SpanQueue.batchSize, spans.count)]
      do {
        try await send(batch, with: client, deadline: deadline)
        queue.count(exported: batch.count)
        isFailing = false
      } catch {
        // The rest would be in vain, too: the collector refuses, or is away, or time is up.
        queue.count(dropped: spans.count - start)
        // Once for each time the collector goes away, not once a second.
        if !isFailing, !Task.isCancelled { logger.warning("spans are lost", metadata: ["error": "\(error)"]) }
        isFailing = true
        return
      }
      start += batch.count
    }
  }

  private func send(
    _ spans: ArraySlice<FinishedSpan>, with client: HTTPClient, deadline: NIODeadline
  ) async throws {
    var request = HTTPClientRequest(url: collector.url)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    for header in collector.headers { request.headers.replaceOrAdd(name: header.name, value: header.value.revealed()) }
    request.body = .bytes(OTLPJSON.request(spans, serviceName: collector.serviceName))
    let response = try await client.execute(request, deadline: deadline)
    _ = try await response.body.collect(upTo: Self.maximumAnswerBytes)
    guard 200...299 ~= response.status.code else { throw Refusal(status: response.status.code) }
  }

  private struct Refusal: Error, CustomStringConvertible {
    let status: UInt
    var description: String { "the collector answered \(status)" }
  }
}
