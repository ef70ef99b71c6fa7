/// The page `/docs`: an OpenAPI document as a person reads it.
package struct ReferencePage {
  private let document: OpenAPIDocument

  package init(_ document: OpenAPIDocument) { self.document = document }

  /// - Throws: `CurlLine.MissingExample`.
  package func html() throws -> String {
    let groups = try document.groups.map(section)
    let page: HTML = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <meta name="color-scheme" content="light dark"/>
      <title>API · \(document.title)</title>
      <link rel="icon" href="/assets/icon.svg" type="image/svg+xml"/>
      <link rel="stylesheet" href="/assets/style.css"/>
      <link rel="stylesheet" href="/assets/docs.css"/>
      <script type="module" src="/assets/docs-page.js"></script>
      </head>
      <body class="docs">
      <a class="skip" href="#top">Skip to the text</a>
      <header class="top">
      <a class="brand" href="/">\(document.title)</a>
      <a href="/openapi.yaml">openapi.yaml</a>
      </header>
      <main>
      \(ContentsSection(document: document).html)
      <article id="top" tabindex="-1">
      <h1>\(document.title) API</h1>
      <p class="lead">\(document.summary) Version \(document.version).</p>
      \(Markdown(document.description).html)
      \(CommonSection(document: document).html)
      \(groups)
      \(SchemaSection(document: document).html)
      </article>
      </main>
      <div class="for-readers" id="announcer" role="status" aria-live="polite" aria-atomic="false"></div>
      </body>
      </html>

      """
    return page.markup
  }

  private func section(_ group: OpenAPIDocument.Group) throws -> HTML {
    let calls = try group.operations.map { try OperationSection(operation: $0, document: document).html() }
    return """
      <section class="group" id="\(group.name)">
      <h2>\(group.title)</h2>
      \(Markdown(group.description).html)\(calls)</section>

      """
  }
}

extension OpenAPIDocument.Group {
  /// The name with a capital letter.
  var title: String { name.prefix(1).uppercased() + name.dropFirst() }
}
