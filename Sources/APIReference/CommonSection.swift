/// What holds for many calls: authentication, the header fields of each response, and the problems of any call.
struct CommonSection {
  let document: OpenAPIDocument

  static func anchor(ofScheme name: String) -> String { "security-\(name)" }
  static func anchor(ofResponse name: String) -> String { "response-\(name)" }

  var html: HTML {
    let schemes = document.securitySchemes.map { scheme -> HTML in
      """
      <div id="\(Self.anchor(ofScheme: scheme.name))"><dt>\(scheme.name)</dt>
      <dd>\(Markdown(scheme.description).html)</dd></div>

      """
    }
    let headers = document.commonHeaders.map { header -> HTML in
      """
      <div><dt><code>\(header.name)</code></dt>
      <dd>\(Markdown(header.description).html)</dd></div>

      """
    }
    return """
      <section id="curl">
      <h2>Try it</h2>
      <p>The curl lines send the examples of this page to this server. Put the ids of your own responses in the place
      of the ids. Lines with a token read it from a variable of the shell, such as <code>ADMIN_TOKEN</code>. They need
      curl 7.82.</p>
      </section>
      <section id="authentication">
      <h2>Authentication</h2>
      <dl class="terms">
      \(schemes)</dl>
      </section>
      <section id="headers">
      <h2>Headers of each response</h2>
      <dl class="terms">
      \(headers)</dl>
      </section>
      \(sharedDefaults)
      """
  }

  /// The responses that calls have for all other statuses. Each is explained once.
  private var sharedDefaults: HTML {
    var names: [String] = []
    var sections: [HTML] = []
    for response in document.groups.flatMap(\.operations).flatMap(\.responses) where response.status == "default" {
      guard let name = response.component, !names.contains(name) else { continue }
      names.append(name)
      sections.append(
        """
        <section id="\(Self.anchor(ofResponse: name))">
        <h2>Problems of any call</h2>
        \(ResponseDescription(response: response, document: document).html)</section>

        """)
    }
    return "\(sections)"
  }
}
