/// All schemas of the document: first the composed ones, then those of single values.
struct SchemaSection {
  static let anchor = "schemas"
  static let anchorOfValues = "values"

  let document: OpenAPIDocument

  var html: HTML {
    let values = document.schemas.filter { !$0.isComposed }.map { schema -> HTML in
      """
      <div class="schema" id="\(anchor(of: schema))"><dt>\(schema.name ?? "")</dt>
      <dd><p class="type">\(schema.definition)</p>\(Markdown(schema.description).html)</dd></div>

      """
    }
    return """
      <section class="group" id="\(Self.anchor)">
      <h2>Schemas</h2>
      \(document.schemas.filter(\.isComposed).map(section))</section>
      <section class="group" id="\(Self.anchorOfValues)">
      <h2>Schemas of values</h2>
      <dl class="terms">
      \(values)</dl>
      </section>
      """
  }

  private func anchor(of schema: Schema) -> String { Schema.anchor(schema.name ?? "") }

  private func section(_ schema: Schema) -> HTML {
    let type: HTML = schema.properties.isEmpty ? "<p class=\"type\">\(schema.definition)</p>\n" : ""
    return """
      <section class="schema" id="\(anchor(of: schema))">
      <h3><a href="#\(anchor(of: schema))">\(schema.name ?? "")</a></h3>
      \(type)\(Markdown(schema.description).html)\(MemberList(schema: schema).html)\(example(of: schema))</section>

      """
  }

  private func example(of schema: Schema) -> HTML {
    guard !schema.properties.isEmpty, let example = schema.example else { return "" }
    return "<pre><code>\(example.prettyJSON())</code></pre>\n"
  }
}
