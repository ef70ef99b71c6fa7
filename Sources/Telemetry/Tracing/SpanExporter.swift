import AsyncHTTPClient
import Logging
import NIOCore
import Secrets
import ServiceLifecycle

/// Sends finished spans to an OpenTelemetry collector by OTLP over HTTP, in JSON
/// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
///
/// It drops spans that the collector does not accept, because requests must not wait for traces.
package struct SpanExporter: Service, CustomStringConvertible {
  /// Short, because `ServiceGroup` logs it.
  package var description: String { "SpanExporter" }

  /// The longest time that a span waits to be sent.
  private static let interval: Duration = .seconds(1)

  /// The longest time of one `sendAll`. Spans that the collector has not accepted by then are dropped.
  ///
  /// Shutdown waits for at most two calls: one that is under way, and the last one. Twice this time is less than the
  /// time limit of a shutdown.
  private static let timeLimit: TimeAmount = .seconds(3)

  /// The largest response that is read. The client must read it before it can reuse the connection.
  private static let maximumResponseBytes = 1 << 20

  /// An OpenTelemetry collector, and the name of this service in its traces.
  package struct Collector: Sendable {
    /// The base address of the collector, such as `http://localhost:4318`.
    package var endpoint: String
    package var serviceName: String
    /// The header fields of each request, such as a collector's API key.
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

  /// Sends spans until graceful shutdown, and then the remaining ones.
  package func run() async throws {
    var configuration = HTTPClient.Configuration()
    // A failed connection is tried again with the next batch.
    configuration.connectionPool.retryConnectionEstablishment = false
    // A redirect could send the secrets in the headers to another server.
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
        // The rest would fail, too: the collector refuses requests, is away, or the time limit has passed.
        queue.count(dropped: spans.count - start)
        // Logs the first failure after a success, not every failure.
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
    _ = try await response.body.collect(upTo: Self.maximumResponseBytes)
    guard 200...299 ~= response.status.code else { throw Refusal(status: response.status.code) }
  }

  private struct Refusal: Error, CustomStringConvertible {
    let status: UInt
    var description: String { "the collector responded with \(status)" }
  }
}
