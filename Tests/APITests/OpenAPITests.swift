import Checkout
import Logging
import Postgres
import Telemetry
import Testing
import Yams

@testable import API

/// Compares the OpenAPI document with the program.
@Suite struct OpenAPITests {
  private static func document() throws -> [String: Any] {
    try #require(try Yams.load(yaml: String(decoding: OpenAPIRoute.bytes, as: UTF8.self)) as? [String: Any])
  }

  @Test func `the document describes exactly the routes of the server`() throws {
    let connection = ConnectionConfiguration(url: "postgresql://nobody@127.0.0.1:1/nothing")
    let checkout = Checkout(
      database: Pool(connection, size: 1), configuration: .init(listener: connection), logger: Logger(label: "test"))
    var configuration = APIServer.Configuration(webhookVerifier: nil, adminToken: nil)
    configuration.metrics = MetricsRegistry([])
    configuration.stripeVerifier = StripeVerifier(secrets: [try #require(StripeSecret("whsec_0123456789abcdef"))])
    let streams = StockStreams(checkout: checkout, maximumCount: 1, limits: .init())
    let ticks = Ticks(
      checkout: checkout, streams: streams, figures: LiveFigures(), identity: ServerIdentity(startedAt: .now))
    let table = APIServer.routes(
      checkout: checkout, configuration: configuration, streams: streams, ticks: ticks, draining: Draining(),
      log: SparseLog(logger: Logger(label: "test")))
    let routes = Set(table.routes.map { "\($0.method.rawValue) \($0.path.text)" })
    let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
    let described = Set(
      paths.flatMap { path, item in
        item.keys.filter { $0 != "parameters" }.map { "\($0.uppercased()) \(path)" }
      })
    #expect(routes.subtracting(described) == [])
    #expect(described.subtracting(routes) == [])
  }

  /// `qty` is for old clients. Only a description mentions it.
  @Test(arguments: [
    ("HoldOfProductRequest", ReserveOfProductBody.Member.allCases.map(\.rawValue).filter { $0 != "qty" }),
    ("HoldRequest", ReserveBody.Member.allCases.map(\.rawValue).filter { $0 != "qty" }),
    ("OrderRequest", PlaceBody.Member.allCases.map(\.rawValue)),
    ("PaymentEventRequest", EventBody.Member.allCases.map(\.rawValue)),
    ("ProductRequest", CreateBody.Member.allCases.map(\.rawValue)),
    ("ProductChanges", UpdateBody.Member.allCases.map(\.rawValue)),
    ("RefundRequest", RefundBody.Member.allCases.map(\.rawValue)),
    ("StockChange", RestockBody.Member.allCases.map(\.rawValue)),
    ("SignInRequest", SignInBody.Member.allCases.map(\.rawValue)),
    ("WebhookEndpointRequest", EndpointBody.Member.allCases.map(\.rawValue)),
    ("WebhookEndpointChanges", EndpointChangesBody.Member.allCases.map(\.rawValue)),
    ("RecoveryRequest", RecoverBody.Member.allCases.map(\.rawValue)),
    ("EventFeed", EventFeedBody.Member.allCases.map(\.rawValue)),
  ])
  func `a request schema has exactly the members that the server reads`(schema: String, members: [String]) throws {
    let properties = try #require(try Self.schemas()[schema]?["properties"] as? [String: Any])
    #expect(properties.keys.sorted() == members.sorted())
  }

  @Test func `the document mentions each type of problem`() throws {
    let text = String(decoding: OpenAPIRoute.bytes, as: UTF8.self)
    for kind in Problem.Kind.allCases {
      #expect(text.contains(kind.rawValue), "\(kind.rawValue)")
    }
  }

  /// Without a discriminator, a generated client tries one schema after the other.
  @Test func `the discriminator of each union of problems is type`() throws {
    let schemas = try Self.schemas()
    var unions = 0
    for (name, schema) in schemas {
      guard let references = schema["oneOf"] as? [[String: String]] else { continue }
      unions += 1
      let discriminator = try #require(schema["discriminator"] as? [String: Any], "\(name)")
      let mapping = try #require(discriminator["mapping"] as? [String: String])
      #expect(discriminator["propertyName"] as? String == "type")
      #expect(mapping.values.sorted() == references.compactMap { $0["$ref"] }.sorted(), "\(name)")
      for (type, reference) in mapping {
        #expect(try Self.type(of: Self.schema(reference, of: schemas), in: schemas) == type, "\(reference)")
      }
    }
    #expect(unions > 0)
  }

  @Test func `each problem schema has an existing type of its own`() throws {
    let schemas = try Self.schemas()
    let types = try schemas.filter { $0.key.hasSuffix("Problem") && $0.key != "Problem" }.map {
      let type = try Self.type(of: $0.value, in: schemas)
      return try #require(type, "\($0.key)")
    }
    #expect(types.count > 0 && Set(types).count == types.count)
    #expect(Set(types).isSubset(of: Problem.Kind.allCases.map { "/problems/" + $0.rawValue }))
  }

  /// With each of these constructs, some generator refused the document, or its client lost data or did not compile.
  @Test func `the document avoids constructs that code generators misread`() throws {
    func check(_ part: Any, at path: String) {
      if let list = part as? [Any] {
        for item in list { check(item, at: path) }
      } else if let object = part as? [String: Any] {
        #expect(object["const"] == nil, "\(path)")
        if let enumeration = object["enum"] as? [Any], enumeration.allSatisfy({ $0 is String }) {
          #expect(object["type"] as? String == "string", "\(path)")
        }
        for (key, value) in object {
          // In a YAML flow mapping, an unquoted comma ends a text. The rest of the text becomes a key.
          #expect(!key.utf8.contains(UInt8(ascii: " ")), "\(path): \(key)")
          if key == "links", let links = value as? [String: [String: Any]] {
            #expect(links.values.allSatisfy { $0["requestBody"] == nil }, "\(path)")
          }
          check(value, at: "\(path)/\(key)")
        }
      }
    }
    check(try Self.document(), at: "")
    #expect(try Self.schemas()["Validation"] == nil, "a generated client has a type of this name")
  }

  private static func schemas() throws -> [String: [String: Any]] {
    let components = try #require(try document()["components"] as? [String: Any])
    return try #require(components["schemas"] as? [String: [String: Any]])
  }

  private static func schema(_ reference: String, of schemas: [String: [String: Any]]) throws -> [String: Any] {
    try #require(schemas[String(reference.dropFirst("#/components/schemas/".utf8.count))], "\(reference)")
  }

  /// The only value of a problem's `type`; nil if there are several.
  private static func type(of problem: [String: Any], in schemas: [String: [String: Any]]) throws -> String? {
    let properties = try #require(problem["properties"] as? [String: [String: Any]])
    let type = try schema(#require(properties["type"]?["$ref"] as? String), of: schemas)
    let values = try #require(type["enum"] as? [String])
    return values.count == 1 ? values[0] : nil
  }
}
