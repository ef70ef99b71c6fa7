import NIOCore

/// `GET /openapi.yaml`: the OpenAPI 3.1 document of this API, which the executable contains.
struct OpenAPIRoute {
  static let bytes = PackageResources.openapi_yaml
  private static let document = ByteBuffer(bytes: bytes)

  // RFC 9512 defines the media type.
  var routes: [Route] {
    [Route(.GET, "/openapi.yaml") { _ in Response(contentType: "application/yaml", body: Self.document) }]
  }
}
