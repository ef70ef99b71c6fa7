/// One method of one path.
package struct Operation {
  package let id: String
  /// In upper case.
  package let method: String
  package let path: String
  let group: String
  let summary: String
  let description: String
  let parameters: [Parameter]
  let body: Content?
  let responses: [Response]
  /// Each item is one way to authenticate: the names of security schemes. An empty item is no authentication.
  let security: [[String]]

  private static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

  /// The operations of a path.
  static func all(of item: Value, path: String, in components: Components) throws -> [Operation] {
    try item.members.filter { methods.contains($0.name) }.map { method, value in
      let parameters = (item["parameters"]?.list ?? []) + (value["parameters"]?.list ?? [])
      return Operation(
        id: value["operationId"]?.text ?? "", method: method.uppercased(), path: path,
        group: value["tags"]?.list.first?.text ?? "", summary: value["summary"]?.text ?? "",
        description: value["description"]?.text ?? "",
        parameters: try parameters.map { try Parameter($0, in: components) },
        body: try value["requestBody"].flatMap { try Content(of: components.resolve($0).value, in: components) },
        responses: try (value["responses"]?.members ?? []).map { try Response(status: $0, $1, in: components) },
        security: (value["security"]?.list ?? []).map { $0.members.map(\.name) })
    }
  }

  /// The response of a request that succeeds.
  var success: Response? { responses.first { $0.status.hasPrefix("2") } }
}

struct Parameter {
  let name: String
  /// `path`, `query` or `header`.
  let location: String
  let isRequired: Bool
  let description: String
  let schema: Schema
  let example: Value?

  init(_ value: Value, in components: Components) throws {
    let value = try components.resolve(value).value
    name = value["name"]?.text ?? ""
    location = value["in"]?.text ?? ""
    isRequired = value["required"]?.isTrue ?? false
    schema = try Schema(value["schema"] ?? .mapping([]), in: components)
    description = value["description"]?.text ?? schema.description
    example = value["example"] ?? schema.example
  }
}

struct Response {
  /// Three digits, or `default`.
  let status: String
  /// The name of the response in the components. Nil if it is defined in place.
  let component: String?
  let description: String
  let headers: [Header]
  let content: Content?

  init(status: String, _ value: Value, in components: Components) throws {
    let (component, value) = try components.resolve(value)
    self.status = status
    self.component = component
    description = value["description"]?.text ?? ""
    headers = try (value["headers"]?.members ?? []).map { try Header(name: $0, $1, in: components) }
    content = try Content(of: value, in: components)
  }

  var isProblem: Bool { content?.type == "application/problem+json" }
}

struct Header {
  let name: String
  let description: String
  let schema: Schema

  init(name: String, _ value: Value, in components: Components) throws {
    let value = try components.resolve(value).value
    self.name = name
    description = value["description"]?.text ?? ""
    schema = try Schema(value["schema"] ?? .mapping([]), in: components)
  }
}

/// A body of a request or a response. It has one media type.
struct Content {
  let type: String
  let schema: Schema
  let example: Value?

  /// Nil for a message without content.
  init?(of message: Value, in components: Components) throws {
    guard let (type, value) = message["content"]?.members.first else { return nil }
    self.type = type
    schema = try Schema(value["schema"] ?? .mapping([]), in: components)
    example = value["example"] ?? schema.example
  }
}
