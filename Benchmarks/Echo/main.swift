import Hummingbird

// The ceiling that benchmarks measure against: the HTTP package doing nothing but decode and encode a small JSON object.
// Usage: echo PORT
struct Hold: ResponseCodable {
  let product_id: Int
  let quantity: Int
}

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8090
let router = Router()
router.post("echo") { request, context in try await request.decode(as: Hold.self, context: context) }
router.get("echo") { _, _ in Hold(product_id: 1, quantity: 1) }
let configuration = ApplicationConfiguration(address: .hostname("127.0.0.1", port: port))
try await Application(router: router, configuration: configuration).runService()
