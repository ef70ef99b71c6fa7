import Foundation
import Hummingbird
import Synchronization

/// An OpenTelemetry collector that keeps what it receives.
public final class SpanCollector: Sendable {
  public struct Span: Decodable, Sendable {
    public let traceId: String
    public let spanId: String
    public let parentSpanId: String?
    public let traceState: String?
    public let name: String
    public let kind: Int
    public let startTimeUnixNano: String
    public let endTimeUnixNano: String
    public let attributes: [Attribute]?
    public let events: [Event]?
    public let links: [Link]?
    public let status: Status?

    public struct Attribute: Decodable, Sendable {
      public let key: String
      public let value: Value
    }

    public struct Value: Decodable, Sendable, Equatable {
      public var stringValue: String?
      public var intValue: String?
      public var boolValue: Bool?
      public var doubleValue: Double?
      public var arrayValue: Values?

      public struct Values: Decodable, Sendable, Equatable {
        public let values: [Value]
      }
    }

    public struct Event: Decodable, Sendable {
      public let name: String
      public let timeUnixNano: String
      public let attributes: [Attribute]?
    }

    public struct Link: Decodable, Sendable {
      public let traceId: String
      public let spanId: String
    }

    public struct Status: Decodable, Sendable {
      public let code: Int
      public let message: String?
    }

    public subscript(key: String) -> Value? { attributes?.first { $0.key == key }?.value }
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
  /// The base address, without a path.
  public let url: String

  private init(url: String) {
    self.url = url
  }

  public var spans: [Span] { received.withLock { $0 } }
  public var services: Set<String> { serviceNames.withLock { $0 } }
  /// Those of the last request, by names in lower case.
  public var headers: [String: String] { lastHeaders.withLock { $0 } }

  /// Waits for a span.
  public func span(named name: String, where isIt: (Span) -> Bool = { _ in true }) async throws -> Span {
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

  /// Lends a collector that listens on a port of its own.
  ///
  /// - Parameter delay: how long it takes over each request.
  public static func withCollector(
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
