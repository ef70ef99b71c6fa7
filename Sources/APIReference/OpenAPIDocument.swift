/// An OpenAPI 3.1 document, with the parts that this API uses. Everything keeps the order of the document.
package struct OpenAPIDocument {
  package let title: String
  package let version: String
  package let summary: String
  package let description: String
  package let groups: [Group]
  package let schemas: [Schema]
  package let securitySchemes: [SecurityScheme]
  /// The header fields that each response has.
  let commonHeaders: [Header]

  /// The operations of one tag.
  package struct Group {
    package let name: String
    package let description: String
    package let operations: [Operation]
  }

  package struct SecurityScheme {
    package let name: String
    let description: String
    /// Whether a client sends a token in `Authorization`.
    let isBearer: Bool
  }

  /// - Throws: `YamlError`, or `Unresolved` if a reference has no target. An empty document has no parts.
  package init(yaml: String) throws {
    let components = Components(root: try Value(yaml: yaml))
    let root = components.root
    let info = root["info"]
    title = info?["title"]?.text ?? ""
    version = info?["version"]?.text ?? ""
    summary = info?["summary"]?.text ?? ""
    description = info?["description"]?.text ?? ""
    let operations = try (root["paths"]?.members ?? []).flatMap { path, item in
      try Operation.all(of: item, path: path, in: components)
    }
    groups = (root["tags"]?.list ?? []).map { tag in
      let name = tag["name"]?.text ?? ""
      return Group(
        name: name, description: tag["description"]?.text ?? "", operations: operations.filter { $0.group == name })
    }
    schemas = try (root["components"]?["schemas"]?.members ?? []).map { name, _ in
      try Schema(.reference(to: "schemas/\(name)"), in: components)
    }
    securitySchemes = (root["components"]?["securitySchemes"]?.members ?? []).map { name, scheme in
      SecurityScheme(
        name: name, description: scheme["description"]?.text ?? "", isBearer: scheme["scheme"]?.text == "bearer")
    }
    let responses = operations.flatMap(\.responses)
    commonHeaders = (responses.first?.headers ?? []).filter { header in
      responses.allSatisfy { $0.headers.contains { $0.name == header.name } }
    }
  }

  func securityScheme(_ name: String) -> SecurityScheme? { securitySchemes.first { $0.name == name } }
}

/// Finds the targets of references, `{$ref: '#/components/…'}`.
struct Components {
  let root: Value

  struct Unresolved: Error, CustomStringConvertible {
    let reference: String
    var description: String { "the document has no \(reference)" }
  }

  /// The target of a reference, and the name of that component. Members beside `$ref` override those of the target.
  func resolve(_ value: Value) throws -> (name: String?, value: Value) {
    guard let reference = value["$ref"]?.text else { return (nil, value) }
    var target: Value? = root
    let path = reference.split(separator: "/")
    for part in path.dropFirst() { target = target?[String(part)] }
    guard reference.hasPrefix("#/components/"), let target else { throw Unresolved(reference: reference) }
    let siblings = value.members.filter { $0.name != "$ref" }
    let resolved = try resolve(target).value
    return (path.last.map(String.init), siblings.isEmpty ? resolved : resolved.overridden(by: siblings))
  }
}

extension Value {
  static func reference(to component: String) -> Value {
    .mapping([("$ref", .text("#/components/\(component)"))])
  }
}
