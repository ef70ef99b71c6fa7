import NIOCore

/// `GET /openapi.yaml`: the description of this API (OpenAPI 3.1), as it travels in the program.
struct OpenAPIRoute {
  static let bytes = PackageResources.openapi_yaml
  private static let document = ByteBuffer(bytes: bytes)

  // The media type is that of RFC 9512.
  var routes: [Route] {
    [Route(.GET, "/openapi.yaml") { _ in Response(contentType: "application/yaml", body: Self.document) }]
  }
}
