import Hummingbird

// A contestant of the benchmarks: a plain Hummingbird server that only decodes and encodes small objects.
// Usage: echo PORT
struct Hold: ResponseCodable {
  let productID: Int
  let quantity: Int

  enum CodingKeys: String, CodingKey {
    case productID = "product_id"
    case quantity
  }
}

/// Encodes to as many bytes as the server's product. Each `null` of a product without window and limits is a four-digit
/// number here.
struct Product: ResponseEncodable {
  let id: Int
  let name: String
  let price: Int
  let currency: String
  let totalStock: Int
  let availableStock: Int
  let status: String
  let startsAt: Int
  let endsAt: Int
  let maximumQuantityPerHold: Int
  let maximumPerCustomer: Int

  enum CodingKeys: String, CodingKey {
    case id, name, price, currency, status
    case totalStock = "total_stock"
    case availableStock = "available_stock"
    case startsAt = "starts_at"
    case endsAt = "ends_at"
    case maximumQuantityPerHold = "max_quantity_per_hold"
    case maximumPerCustomer = "max_per_customer"
  }
}

let product = Product(
  id: 1, name: "Bench", price: 100, currency: "USD", totalStock: 2_000_000_000, availableStock: 2_000_000_000,
  status: "on_sale", startsAt: 1111, endsAt: 2222, maximumQuantityPerHold: 3333, maximumPerCustomer: 4444)

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8090
let router = Router()
router.post("echo") { request, context in try await request.decode(as: Hold.self, context: context) }
router.get("echo") { _, _ in product }
let configuration = ApplicationConfiguration(address: .hostname("127.0.0.1", port: port))
try await Application(router: router, configuration: configuration).runService()
