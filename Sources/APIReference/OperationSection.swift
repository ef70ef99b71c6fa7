/// A call: its address, what it does, its parameters, body and responses, and an example of it.
struct OperationSection {
  let operation: Operation
  let document: OpenAPIDocument

  func html() throws -> HTML {
    """
    <section class="call" id="\(operation.id)">
    <h3><a href="#\(operation.id)">\(Markdown(operation.summary).inlineHTML)</a></h3>
    <p class="address"><span class="method">\(operation.method)</span> <code>\(operation.path)</code></p>
    <div class="explanation">
    \(Markdown(operation.description).html)\(authentication)\(parameters)\(body)\(responses)</div>
    <div class="sample">
    \(try example())</div>
    </section>

    """
  }

  private var authentication: HTML {
    let schemes = operation.security.flatMap { $0 }.map { name -> HTML in
      "<a href=\"#\(CommonSection.anchor(ofScheme: name))\">\(name)</a>"
    }
    guard !schemes.isEmpty else { return "" }
    let verb: HTML = operation.security.contains([]) ? "Accepts" : "Needs"
    return "<p>\(verb) \(schemes.joined(by: " or ")).</p>\n"
  }

  private var parameters: HTML {
    guard !operation.parameters.isEmpty else { return "" }
    let items = operation.parameters.map { parameter in
      MemberList.item(
        name: parameter.name, mark: parameter.location + (parameter.isRequired ? ", required" : ""),
        words: parameter.schema.words, description: parameter.description,
        example: parameter.example.map(\.plainText))
    }
    return "<h4>Parameters</h4>\n<dl class=\"members\">\n\(items)</dl>\n"
  }

  private var body: HTML {
    guard let body = operation.body else { return "" }
    return """
      <h4>Body: \(body.schema.words)</h4>
      \(MemberList(schema: body.schema).html)
      """
  }

  private var responses: HTML {
    let items = operation.responses.map { response -> HTML in
      """
      <div><dt>\(response.status == "default" ? "other" : response.status)</dt>
      <dd>\(response.status == "default" ? link(to: response) : description(of: response))</dd></div>

      """
    }
    return "<h4>Responses</h4>\n<dl class=\"terms\">\n\(items)</dl>\n"
  }

  private func link(to response: Response) -> HTML {
    guard let name = response.component else { return description(of: response) }
    return "<p><a href=\"#\(CommonSection.anchor(ofResponse: name))\">Problems of any call</a></p>"
  }

  private func description(of response: Response) -> HTML {
    ResponseDescription(response: response, document: document).html
  }

  private func example() throws -> HTML {
    let curl: HTML = """
      <h4>Example</h4>
      <pre class="curl"><code>\(try CurlLine(operation, in: document).html)</code></pre>

      """
    guard let response = operation.success, let example = response.content?.example else { return curl }
    return curl + """
      <h4>Response \(response.status)</h4>
      <pre><code>\(example.text ?? example.prettyJSON())</code></pre>

      """
  }
}
