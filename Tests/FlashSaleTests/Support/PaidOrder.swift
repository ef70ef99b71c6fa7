import Testing

/// A paid order of two units, with an amount of 1,000.
struct PaidOrder {
  let product: Int
  let id: String
  var path: String { "/api/admin/orders/\(id)" }

  init(_ api: APIClient, customer: String = "ada", key: String = "pay") async throws {
    product = try await api.createProduct(stock: 5)
    let body = #"{"product_id":\#(product),"quantity":2,"customer_id":"\#(customer)"}"#
    let hold: APIClient.Hold = try await api.send("POST", "/api/holds", body).decode()
    try #require(try await api.order(hold.holdId).status == 201)
    try #require(try await api.pay(hold.orderID, key: key).status == 200)
    id = hold.orderID
  }

  func refund(_ body: String, key: String, by api: APIClient) async throws -> APIClient.Answer {
    try await api.send("POST", path + "/refunds", body, headers: ["Idempotency-Key": key])
  }
}
