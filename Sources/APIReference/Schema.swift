/// A JSON schema, with the keywords that the document uses. It must not contain itself, because all of its parts are
/// read at once.
package struct Schema {
  /// The name of the schema in the components. Nil if it is defined in place.
  package let name: String?
  let description: String
  /// The names of its types, without `null`.
  let types: [String]
  let isNullable: Bool
  let properties: [Property]
  /// The schemas of which a value has one. A nullable schema does not repeat `null` here.
  let alternatives: [Schema]
  let example: Value?
  /// The schema of an array's items.
  var items: Schema? { itemSchema.first }
  /// Its members in the document: limits, patterns and values.
  let keywords: Value

  /// A list of at most one schema, because a structure cannot contain itself.
  private let itemSchema: [Schema]

  struct Property {
    let name: String
    let isRequired: Bool
    let schema: Schema
  }

  init(_ value: Value, in components: Components) throws {
    let (name, keywords) = try components.resolve(value)
    self.name = name
    self.keywords = keywords
    description = keywords["description"]?.text ?? ""
    let names = keywords["type"].map { $0.text.map { [$0] } ?? $0.list.compactMap(\.text) } ?? []
    let required = (keywords["required"]?.list ?? []).compactMap(\.text)
    let choices = try (keywords["oneOf"]?.list ?? []).map { try Schema($0, in: components) }
    types = names.filter { $0 != "null" }
    isNullable = names.contains("null") || choices.contains { $0.types.isEmpty && $0.isNullable }
    alternatives = choices.filter { !($0.types.isEmpty && $0.isNullable) }
    properties = try (keywords["properties"]?.members ?? []).map { name, value in
      Property(name: name, isRequired: required.contains(name), schema: try Schema(value, in: components))
    }
    itemSchema = try keywords["items"].map { [try Schema($0, in: components)] } ?? []
    example = Self.example(
      of: keywords, properties: properties, item: itemSchema.first, alternatives: alternatives)
  }

  /// The schema's first example, else one that consists of the examples of its parts. Nil if a part has none.
  private static func example(
    of keywords: Value, properties: [Property], item: Schema?, alternatives: [Schema]
  ) -> Value? {
    if let example = keywords["examples"]?.list.first { return example }
    if let value = keywords["enum"]?.list.first { return value }
    if let item { return item.example.map { .list([$0]) } }
    if let first = alternatives.first { return first.example }
    guard !properties.isEmpty else { return nil }
    let members = properties.compactMap { property in property.schema.example.map { (property.name, $0) } }
    return members.count == properties.count ? .mapping(members) : nil
  }
}
