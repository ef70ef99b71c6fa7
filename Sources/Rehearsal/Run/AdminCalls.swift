import Foundation
import NIOCore
import NIOHTTP1
import Secrets

/// The admin requests of a run.
struct AdminCalls: Sendable {
  let caller: Caller
  let token: Secret

  /// The path and the key are the same for each attempt, so a lost response makes no second product.
  ///
  /// - Parameter key: impossible to guess, and new for each run.
  /// - Throws: `RehearsalError` when the server refuses.
  func createProduct(stock: Int, name: String, key: String) async throws -> Evidence.Product {
    let body = """
      {"name":"\(name)","price":\(Scenario.price),"currency":"\(Scenario.currency)","total_stock":\(stock)}
      """
    let response = try await send(
      .POST, "/api/admin/products", body: body, headers: [("idempotency-key", key)], patience: .seconds(5))
    struct Product: Decodable { let id: Int }
    guard response.status == 201 else { throw Self.refusal("creating a product", response) }
    return Evidence.Product(id: try Self.decode(Product.self, from: response).id, stock: stock)
  }

  /// No new hold is granted afterwards.
  ///
  /// - Throws: `RehearsalError` when the server refuses.
  func pause(_ productID: Int) async throws {
    let response = try await send(.PATCH, "/api/admin/products/\(productID)", body: #"{"paused":true}"#)
    guard response.status == 200 else { throw Self.refusal("pausing product \(productID)", response) }
  }

  func invariants() async throws -> [FinalReadings.Invariant] {
    struct Audit: Decodable { let checks: [FinalReadings.Invariant] }
    let response = try await send(.GET, "/api/admin/invariants")
    guard response.status == 200 else { throw Self.refusal("reading the invariants", response) }
    return try Self.decode(Audit.self, from: response).checks
  }

  /// All payment events of an order.
  func paymentEvents(ofOrder id: String) async throws -> [FinalReadings.Event] {
    struct Page: Decodable {
      struct Event: Decodable {
        let idempotency_key: String
        let order_id: String
        let status: String
        let verdict: String
      }
      let payment_events: [Event]
      let next_cursor: String?
    }
    var events: [FinalReadings.Event] = []
    var cursor: String?
    repeat {
      let query = "order_id=\(id)" + (cursor.map { "&cursor=\($0)" } ?? "")
      let response = try await send(.GET, "/api/admin/payment-events?\(query)")
      guard response.status == 200 else { throw Self.refusal("reading payment events", response) }
      let page = try Self.decode(Page.self, from: response)
      events += page.payment_events.map {
        FinalReadings.Event(key: $0.idempotency_key, orderID: $0.order_id, status: $0.status, verdict: $0.verdict)
      }
      cursor = page.next_cursor
    } while cursor != nil
    return events
  }

  private func send(
    _ method: HTTPMethod, _ path: String, body: String? = nil, headers: [(name: String, value: String)] = [],
    patience: Duration = Caller.patience
  ) async throws -> HTTPResult.Response {
    let call = HTTPCall(
      method: method, path: path, headers: headers + [("authorization", "Bearer \(token.revealed())")],
      body: body.map { ByteBuffer(string: $0) })
    return try await caller.call(call, patience: patience).response
  }

  private static func decode<Body: Decodable>(_ type: Body.Type, from response: HTTPResult.Response) throws -> Body {
    do {
      return try JSONDecoder().decode(type, from: Data(response.body))
    } catch {
      throw RehearsalError("the server's response is not what flashsale sends; check --url")
    }
  }

  private static func refusal(_ what: String, _ response: HTTPResult.Response) -> RehearsalError {
    if response.status == 401 {
      return RehearsalError("\(what) was refused with 401: ADMIN_TOKEN is not the server's")
    }
    return RehearsalError(
      "\(what) was refused with \(response.status): \(String(decoding: response.body, as: UTF8.self))")
  }
}
