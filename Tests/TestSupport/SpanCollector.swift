import Foundation
import Hummingbird
import Synchronization

/// An OpenTelemetry collector that records the spans that it receives.
package final class SpanCollector: Sendable {
  package struct Span: Decodable, Sendable {
    package let traceId: String
    package let spanId: String
    package let parentSpanId: String?
    package let traceState: String?
    package let name: String
    package let kind: Int
    package let startTimeUnixNano: String
    package let endTimeUnixNano: String
    package let attributes: [Attribute]?
    package let events: [Event]?
    package let links: [Link]?
    package let status: Status?

    package struct Attribute: Decodable, Sendable {
      package let key: String
      package let value: Value
    }

    package struct Value: Decodable, Sendable, Equatable {
      package var stringValue: String?
      package var intValue: String?
      package var boolValue: Bool?
      package var doubleValue: Double?
      package var arrayValue: Values?

      package struct Values: Decodable, Sendable, Equatable {
        package let values: [Value]
      }
    }

    package struct Event: Decodable, Sendable {
      package let name: String
      package let timeUnixNano: String
      package let attributes: [Attribute]?
    }

    package struct Link: Decodable, Sendable {
      package let traceId: String
      package let spanId: String
    }

    package struct Status: Decodable, Sendable {
      package let code: Int
      package let message: String?
    }

    package subscript(key: String) -> Value? { attributes?.first { $0.key == key }?.value }
  }

  private struct Request: Decodable {
    let resourceSpans: [ResourceSpans]

    struct ResourceSpans: Decodable {
      let resource: Resource
      let scopeSpans: [ScopeSpans]
    }

    struct Resource: Decodable {
      let attributes: [Span.Attribute]
    }

    struct ScopeSpans: Decodable {
      let spans: [Span]
    }
  }

  private let received = Mutex<[Span]>([])
  private let serviceNames = Mutex<Set<String>>([])
  private let lastHeaders = Mutex<[String: String]>([:])
  /// The base URL, without a path.
  package let url: String

  private init(url: String) {
    self.url = url
  }

  package var spans: [Span] { received.withLock { $0 } }
  package var services: Set<String> { serviceNames.withLock { $0 } }
  /// The headers of the last request, by lower-case names.
  package var headers: [String: String] { lastHeaders.withLock { $0 } }

  /// Waits for a span.
  package func span(named name: String, where isIt: (Span) -> Bool = { _ in true }) async throws -> Span {
    var found: Span?
    try await until("a span named \(name) has come") {
      found = spans.first { $0.name == name && isIt($0) }
      if found == nil { try await Task.sleep(for: .milliseconds(5)) }
      return found != nil
    }
    return found!
  }

  private func take(_ body: Data, headers: [String: String]) throws {
    lastHeaders.withLock { $0 = headers }
    let request = try JSONDecoder().decode(Request.self, from: body)
    for part in request.resourceSpans {
      serviceNames.withLock { names in
        names.formUnion(part.resource.attributes.filter { $0.key == "service.name" }.compactMap(\.value.stringValue))
      }
      received.withLock { $0 += part.scopeSpans.flatMap(\.spans) }
    }
  }

  /// Runs a collector on a free port while `body` runs.
  ///
  /// - Parameter delay: the time before each response.
  package static func withCollector(
    delay: Duration = .zero, _ body: @escaping @Sendable (SpanCollector) async throws -> Void
  ) async throws {
    let collector = Mutex<SpanCollector?>(nil)
    let router = Router()
    router.post("v1/traces") { request, _ in
      let bytes = try await request.body.collect(upTo: 1 << 24)
      try await Task.sleep(for: delay)
      guard request.headers[.contentType] == "application/json" else { throw HTTPError(.unsupportedMediaType) }
      let headers = Dictionary(request.headers.map { ($0.name.canonicalName, $0.value) }) { $1 }
      try collector.withLock { $0 }?.take(Data(bytes.readableBytesView), headers: headers)
      return Response(
        status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: .init(string: "{}")))
    }
    try await withLocalServer(router) { url in
      let ready = SpanCollector(url: url)
      collector.withLock { $0 = ready }
      try await body(ready)
    }
  }
}
