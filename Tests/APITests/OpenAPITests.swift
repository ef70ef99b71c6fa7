import Checkout
import Hummingbird
import Logging
import Postgres
import Telemetry
import Testing
import Yams

@testable import API

/// The description against the program: what is in one and not in the other fails.
@Suite struct OpenAPITests {
  private static func document() throws -> [String: Any] {
    try #require(try Yams.load(yaml: String(decoding: OpenAPIRoute.bytes, as: UTF8.self)) as? [String: Any])
  }

  @Test func everyRouteIsDescribedAndNoOther() throws {
    let connection = ConnectionConfiguration(url: "postgresql://nobody@127.0.0.1:1/nothing")
    let checkout = Checkout(
      database: Pool(connection, size: 1), configuration: .init(listener: connection), logger: Logger(label: "test"))
    var configuration = APIServer.Configuration(webhookVerifier: nil, adminToken: nil)
    configuration.metrics = MetricsRegistry([])
    let router = APIServer.makeRouter(
      checkout: checkout, configuration: configuration,
      streams: StockStreams(checkout: checkout, maximumCount: 1, limits: .init()),
      fastRoutes: FastRoutes(
        routes: APIServer.fastRoutes(checkout: checkout, configuration: configuration), metrics: nil, spans: nil,
        logger: Logger(label: "test")),
      draining: Draining())
    // To a path of the description, a parameter is {id}; to the router, :id or {id}.
    let routes = Set(
      router.routes.map { route in
        "\(route.method.rawValue) \(route.path.description.replacing(/:([a-z_]+)/) { "{\($0.output.1)}" })"
      })
    let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
    let described = Set(
      paths.flatMap { path, item in
        item.keys.filter { $0 != "parameters" }.map { "\($0.uppercased()) \(path)" }
      })
    #expect(routes.subtracting(described) == [])
    #expect(described.subtracting(routes) == [])
  }

  /// `qty` is for clients of old and only told in words.
  @Test(arguments: [
    ("HoldRequest", ReserveBody.Member.allCases.map(\.rawValue).filter { $0 != "qty" }),
    ("OrderRequest", PlaceBody.Member.allCases.map(\.rawValue)),
    ("PaymentEventRequest", EventBody.Member.allCases.map(\.rawValue)),
    ("ProductRequest", CreateBody.Member.allCases.map(\.rawValue)),
    ("ProductChanges", UpdateBody.Member.allCases.map(\.rawValue)),
    ("StockChange", RestockBody.Member.allCases.map(\.rawValue)),
  ])
  func everyMemberOfARequestIsDescribedAndNoOther(schema: String, members: [String]) throws {
    let components = try #require(try Self.document()["components"] as? [String: Any])
    let schemas = try #require(components["schemas"] as? [String: [String: Any]])
    let properties = try #require(schemas[schema]?["properties"] as? [String: Any])
    #expect(properties.keys.sorted() == members.sorted())
  }

  @Test func everyTypeOfProblemIsNamedOrExplained() throws {
    let text = String(decoding: OpenAPIRoute.bytes, as: UTF8.self)
    for kind in Problem.Kind.allCases {
      #expect(text.contains(kind.rawValue), "\(kind.rawValue)")
    }
  }
}
