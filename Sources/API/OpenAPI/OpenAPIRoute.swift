import HTTPTypes
import Hummingbird
import NIOCore

/// `GET /openapi.yaml`: the description of this API (OpenAPI 3.1), as it travels in the program.
struct OpenAPIRoute {
  static let bytes = PackageResources.openapi_yaml
  private static let document = ByteBuffer(bytes: bytes)

  func add(to router: Router<AppContext>) {
    router.get("openapi.yaml") { _, _ in
      // RFC 9512.
      Response(
        status: .ok, headers: [.contentType: "application/yaml"], body: ResponseBody(byteBuffer: Self.document))
    }
  }
}
