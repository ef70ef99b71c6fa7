import Foundation
import OpenAPIClient

// Buys with the client that openapi-generator generated from the document. Every response must have its type.
//
//     Buyer URL ADMIN_TOKEN

let arguments = CommandLine.arguments
let client = OpenAPIClientAPIConfiguration(basePath: arguments[1])
let admin = OpenAPIClientAPIConfiguration(
  basePath: arguments[1], customHeaders: ["Authorization": "Bearer \(arguments[2])"])

func expect(_ condition: Bool, line: Int = #line) {
  guard condition else { fail("the expectation failed", line: line) }
}

func fail(_ reason: String, line: Int) -> Never {
  print("main.swift:\(line): \(reason)")
  exit(1)
}

/// The refusal of a request, decoded as its type in the document.
func refusal<Refusal: Decodable, Value>(
  _ status: Int, as type: Refusal.Type, line: Int = #line, _ call: () async throws(ErrorResponse) -> Value
) async throws -> Refusal {
  do {
    fail("not refused: \(try await call())", line: line)
  } catch .error(status, .some(let data), _, _) {
    return try client.codableHelper.decode(type, from: data).get()
  } catch {
    fail("another error: \(error)", line: line)
  }
}

@Sendable func hold(_ product: Product, _ quantity: Int, key: String? = nil) async throws(ErrorResponse) -> Hold {
  try await HoldsAPI.placeHold(
    holdRequest: HoldRequest(productId: product.id, quantity: quantity), idempotencyKey: key, apiConfiguration: client)
}

func place(_ hold: Hold) async throws(ErrorResponse) -> Order {
  try await OrdersAPI.placeOrder(orderRequest: OrderRequest(holdId: hold.holdId), apiConfiguration: client)
}

// A purchase.
var cap = ProductRequest(name: "Cap", price: 500, currency: "USD", totalStock: 5)
let product = try await AdminAPI.createProduct(productRequest: cap, apiConfiguration: admin)
let listed = try await ProductsAPI.listProducts(apiConfiguration: client).products
expect(listed.contains { $0.id == product.id })
let key = UUID().uuidString
let held = try await hold(product, 2, key: key)
expect(try await hold(product, 2, key: key).holdId == held.holdId)
expect(held.expiresAt > Date() && held.status == .active)
let order = try await place(held)
expect(order.amount == 1000 && order.status == .pendingPayment && order.paidAt == nil)
let payment = PaymentEventRequest(
  idempotencyKey: "pay-\(order.orderId)", orderId: order.orderId, status: .success, amount: 1000)
let result = try await PaymentsAPI.receivePaymentEvent(paymentEventRequest: payment, apiConfiguration: client)
expect(result.verdict == .applied && result.orderStatus == .paid)
let paid = try await OrdersAPI.getOrder(id: order.orderId, apiConfiguration: client)
expect(paid.status == .paid && paid.paidAt.map { $0 >= paid.createdAt } == true)
expect(try await ProductsAPI.getProduct(id: product.id, apiConfiguration: client).availableStock == 3)

// Refusals.
let noHold = "hold_" + String(repeating: "0", count: 32)
let missing = try await refusal(404, as: NotFoundProblem.self) { () async throws(ErrorResponse) in
  try await HoldsAPI.getHold(id: noHold, apiConfiguration: client)
}
expect(missing.status == 404 && missing.type == .slashProblemsSlashNotFound)

let other = try await hold(product, 1)
let short = try await refusal(409, as: HoldRefusal.self) { () async throws(ErrorResponse) in try await hold(product, 3)
}
guard case .typeInsufficientStockProblem(let stock) = short else { fail("\(short)", line: #line) }
expect(stock.availableStock == 2 && stock.heldStock == 1 && stock.nextReleaseAt == other.expiresAt)

let again = try await refusal(409, as: OrderRefusal.self) { () async throws(ErrorResponse) in try await place(held) }
guard case .typeHoldAlreadyOrderedProblem(let ordered) = again else { fail("\(again)", line: #line) }
expect(ordered.orderId == order.orderId)

let wrong = try await refusal(422, as: UnprocessableRequest.self) { () async throws(ErrorResponse) in
  try await hold(product, 0)
}
guard case .typeValidationProblem(let validation) = wrong else { fail("\(wrong)", line: #line) }
expect(validation.errors.map(\.pointer) == ["/quantity"])

let reused = try await refusal(422, as: UnprocessableRequest.self) { () async throws(ErrorResponse) in
  try await hold(product, 1, key: key)
}
guard case .typeIdempotencyKeyReusedProblem = reused else { fail("\(reused)", line: #line) }

cap.startsAt = Date(timeIntervalSince1970: 4_102_444_800)
let upcoming = try await AdminAPI.createProduct(productRequest: cap, apiConfiguration: admin)
let early = try await refusal(409, as: HoldRefusal.self) { () async throws(ErrorResponse) in try await hold(upcoming, 1)
}
guard case .typeSaleNotStartedProblem(let notStarted) = early else { fail("\(early)", line: #line) }
expect(notStarted.startsAt == cap.startsAt)

let unauthorized = try await refusal(401, as: UnauthorizedProblem.self) { () async throws(ErrorResponse) in
  try await AdminAPI.checkInvariants(apiConfiguration: client)
}
expect(unauthorized.status == 401)
expect(try await AdminAPI.checkInvariants(apiConfiguration: admin).ok)
print("The Swift client bought a product. Every refusal had its type.")
