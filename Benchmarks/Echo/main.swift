import Hummingbird

// The ceiling that benchmarks measure against: the HTTP package doing nothing but decode and encode a small JSON object.
// Usage: echo PORT
struct Hold: ResponseCodable {
  let productID: Int
  let quantity: Int

  enum CodingKeys: String, CodingKey {
    case productID = "product_id"
    case quantity
  }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8090
let router = Router()
router.post("echo") { request, context in try await request.decode(as: Hold.self, context: context) }
router.get("echo") { _, _ in Hold(productID: 1, quantity: 1) }
let configuration = ApplicationConfiguration(address: .hostname("127.0.0.1", port: port))
try await Application(router: router, configuration: configuration).runService()
