/// The members of an object.
struct MemberList {
  let schema: Schema

  var html: HTML {
    guard !schema.properties.isEmpty else { return "" }
    let items = schema.properties.map { property in
      Self.item(
        name: property.name, mark: property.isRequired ? "required" : "", words: property.schema.words,
        description: property.schema.description, example: nil)
    }
    return "<dl class=\"members\">\n\(items)</dl>\n"
  }

  static func item(name: String, mark: String, words: HTML, description: String, example: String?) -> HTML {
    let mark: HTML = mark.isEmpty ? "" : " <span class=\"mark\">\(mark)</span>"
    let example: HTML = example.map { "<p class=\"hint\">Example: <code>\($0)</code></p>" } ?? ""
    return """
      <div><dt><code>\(name)</code>\(mark)</dt>
      <dd><p class="type">\(words)</p>\(Markdown(description).html)\(example)</dd></div>

      """
  }
}
