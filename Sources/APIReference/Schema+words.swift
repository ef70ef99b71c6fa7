extension Schema {
  /// The type and its limits in words, such as "integer or null, 1 to 100". A schema with a name is a link.
  var words: HTML {
    guard let name else { return definition }
    let label = isComposed ? name : types.joined(separator: " or ")
    return explained("<a href=\"#\(Self.anchor(name))\">\(label)</a>")
  }

  /// The words without a link to this schema, for the place where it is explained.
  var definition: HTML {
    if !alternatives.isEmpty { return explained(alternatives.map(\.words).joined(by: " or ")) }
    if let items { return explained("array of \(items.words)") }
    return explained("\(types.joined(separator: " or "))")
  }

  /// The anchor of the schema with this name.
  static func anchor(_ name: String) -> String { "schema-\(name)" }

  /// Whether it consists of other schemas. The others are texts, numbers and truth values.
  var isComposed: Bool { types.contains("object") || !alternatives.isEmpty || items != nil }

  private func explained(_ type: HTML) -> HTML {
    ([type + (isNullable ? " or null" : "")] + limits).joined(by: ", ")
  }

  private var limits: [HTML] {
    var limits: [HTML] = []
    if let format = keywords["format"]?.text { limits.append("\(format)") }
    limits += range("minimum", "maximum", unit: "")
    limits += range("minLength", "maxLength", unit: " characters")
    limits += range("minItems", "maxItems", unit: " items")
    if let pattern = keywords["pattern"]?.text { limits.append("pattern <code>\(pattern)</code>") }
    if let values = keywords["enum"]?.list {
      let codes = values.map { "<code>\($0.plainText)</code>" as HTML }
      limits.append("\(values.count == 1 ? "" : "one of ")\(codes.joined(by: ", "))")
    }
    for value in keywords["not"]?["enum"]?.list ?? [] { limits.append("not <code>\(value.plainText)</code>") }
    return limits
  }

  private func range(_ minimum: String, _ maximum: String, unit: String) -> [HTML] {
    switch (keywords[minimum]?.plainText, keywords[maximum]?.plainText) {
    case (let minimum?, let maximum?): ["\(minimum) to \(maximum)\(unit)"]
    case (let minimum?, nil): ["at least \(minimum)\(unit)"]
    case (nil, let maximum?): ["at most \(maximum)\(unit)"]
    case (nil, nil): []
    }
  }
}
