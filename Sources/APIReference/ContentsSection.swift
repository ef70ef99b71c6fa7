/// The links to all calls and composed schemas, and the search box. The box does nothing without the page's script, so the
/// script shows it.
struct ContentsSection {
  let document: OpenAPIDocument

  var html: HTML {
    let groups = document.groups.map { group in
      let links = group.operations.map { operation -> HTML in
        """
        <li><a href="#\(operation.id)"><span class="method">\(operation.method)</span> \(operation.path)</a></li>

        """
      }
      return list(of: links, title: group.title, anchor: group.name)
    }
    let schemas = document.schemas.filter(\.isComposed).compactMap(\.name).map { name -> HTML in
      """
      <li><a href="#\(Schema.anchor(name))">\(name)</a></li>

      """
    }
    let values: HTML = """
      <li><a href="#\(SchemaSection.anchorOfValues)">Schemas of values</a></li>

      """
    return """
      <nav class="contents" aria-label="Contents">
      <form class="search" id="search-form" role="search" hidden="">
      <label for="search">Search</label>
      <input type="search" id="search" autocomplete="off" spellcheck="false" aria-describedby="found"/>
      <p class="hint" id="found" role="status"></p>
      </form>
      <details id="contents" open="">
      <summary>Contents</summary>
      \(groups)\(list(of: schemas + [values], title: "Schemas", anchor: SchemaSection.anchor))</details>
      </nav>
      """
  }

  private func list(of links: [HTML], title: String, anchor: String) -> HTML {
    """
    <div class="links">
    <p><a href="#\(anchor)">\(title)</a></p>
    <ul>
    \(links)</ul>
    </div>

    """
  }
}
