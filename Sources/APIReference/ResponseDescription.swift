/// What a response means, its own header fields, and its body.
struct ResponseDescription {
  let response: Response
  let document: OpenAPIDocument

  var html: HTML {
    let text = Markdown(response.description) { response.isProblem ? addressOfProblem($0) : nil }
    return text.html + headers + content
  }

  private var headers: HTML {
    let items = response.headers.filter { header in !document.commonHeaders.contains { $0.name == header.name } }
      .map { header -> HTML in "<li><code>\(header.name)</code>: \(Markdown(header.description).inlineHTML)</li>\n" }
    return items.isEmpty ? "" : "<ul>\n\(items)</ul>\n"
  }

  private var content: HTML {
    guard let content = response.content else { return "" }
    guard !response.isProblem, content.schema.name != nil, !content.schema.properties.isEmpty else {
      return "<p class=\"hint\"><code>\(content.type)</code>: \(content.schema.words)</p>"
    }
    return """
      <details><summary>Members of \(content.schema.name ?? "")</summary>
      \(MemberList(schema: content.schema).html)</details>
      """
  }

  /// A description names the types of its problems as code. Code with capital letters, spaces or underscores is
  /// something else, and so is the name of a member, such as `detail`.
  private func addressOfProblem(_ code: String) -> String? {
    guard code.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil else { return nil }
    let isMember = document.schemas.contains { $0.properties.contains { $0.name == code } }
    return isMember ? nil : "/problems/\(code)"
  }
}
