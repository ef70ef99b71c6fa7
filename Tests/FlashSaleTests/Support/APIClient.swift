import AsyncHTTPClient
import Foundation
import NIOCore
import NIOFoundationCompat
import Testing

/// A client of one server.
struct APIClient: Sendable {
  let url: String

  /// Shared by all tests, and never shut down. It does not retry a connection, so an unreachable server is noticed at
  /// once.
  private static let http: HTTPClient = {
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 400
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  struct Answer: Sendable, CustomStringConvertible {
    let status: UInt
    let headers: [String: String]
    let body: ByteBuffer

    func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(type, from: body)
    }

    /// The members of the JSON object; empty if the body is none.
    var members: [String: Any] {
      (try? JSONSerialization.jsonObject(with: Data(buffer: body))) as? [String: Any] ?? [:]
    }

    /// The slug of the problem's type; nil if the response is not a problem.
    var problem: String? {
      guard headers["content-type"]?.hasPrefix("application/problem+json") == true,
        let problem = try? decode(Problem.self), problem.type.hasPrefix("/problems/"), problem.status == status
      else { return nil }
      return String(problem.type.dropFirst("/problems/".count))
    }

    private struct Problem: Decodable {
      let type: String
      let status: UInt
    }

    var description: String { "\(status) \(String(buffer: body))" }
  }

  struct Product: Decodable {
    let id: Int
    let name: String
    let totalStock: Int
    let availableStock: Int
  }

  struct Hold: Decodable {
    let holdId: String
    let quantity: Int
    let status: String
    let expiresAt: String

    /// The id of the order that this hold becomes. It has the same digits.
    var orderID: String { "order_" + holdId.dropFirst("hold_".count) }
  }

  struct Order: Decodable {
    let orderId: String
    let quantity: Int
    let status: String
  }

  struct Payment: Decodable {
    let orderStatus: String?
    let verdict: String
  }

  // MARK: Calls

  func product(_ id: Int) async throws -> Product {
    let answer = try await send("GET", "/api/products/\(id)")
    try #require(answer.status == 200, "\(answer)")
    return try answer.decode()
  }

  func reserve(_ quantity: Int, of product: Int) async throws -> Answer {
    try await send("POST", "/api/holds", #"{"product_id":\#(product),"quantity":\#(quantity)}"#)
  }

  func release(_ hold: String) async throws -> Answer {
    try await send("DELETE", "/api/holds/\(hold)")
  }

  func order(_ hold: String) async throws -> Answer {
    try await send("POST", "/api/orders", #"{"hold_id":"\#(hold)"}"#)
  }

  func pay(_ order: String, key: String, status: String = "success") async throws -> Answer {
    try await send(
      "POST", "/api/payments/webhook", #"{"idempotency_key":"\#(key)","order_id":"\#(order)","status":"\#(status)"}"#)
  }

  func createProduct(stock: Int) async throws -> Int {
    let answer = try await send(
      "POST", "/api/admin/products", #"{"name":"Cap","price":500,"currency":"USD","total_stock":\#(stock)}"#)
    try #require(answer.status == 201, "\(answer)")
    return try answer.decode(Product.self).id
  }

  func invariants() async throws -> Answer {
    try await send("GET", "/api/admin/invariants")
  }

  /// - Parameter token: the bearer token of admin requests. With nil, they have none.
  func send(
    _ method: String, _ path: String, _ body: String? = nil, headers: [String: String] = [:],
    token: String? = ServerProcess.adminToken
  ) async throws -> Answer {
    var request = HTTPClientRequest(url: url + path)
    request.method = .init(rawValue: method)
    if let token, path.hasPrefix("/api/admin/") {
      request.headers.add(name: "authorization", value: "Bearer " + token)
    }
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: body))
    }
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    let response = try await Self.http.execute(request, timeout: .seconds(30))
    return Answer(
      status: response.status.code,
      headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { $1 },
      body: try await response.body.collect(upTo: 1 << 20))
  }
}
