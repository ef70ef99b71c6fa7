/// The Markdown of the descriptions: paragraphs, lists of one level, and `code`. A test checks that they use nothing
/// else.
struct Markdown {
  private enum Block {
    case paragraph(String)
    case list([String])
  }

  private let blocks: [Block]
  /// The address to which a piece of code is a link. Nil if it is none.
  private let address: (String) -> String?

  init(_ text: String, address: @escaping (String) -> String? = { _ in nil }) {
    self.address = address
    var blocks: [Block] = []
    var isAfterBlank = true
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let content = line.drop { $0 == " " }
      if content.isEmpty {
        isAfterBlank = true
        continue
      }
      if content.hasPrefix("- ") {
        var items: [String] = []
        if case .list(let others) = blocks.last { (items, _) = (others, blocks.removeLast()) }
        blocks.append(.list(items + [String(content.dropFirst(2))]))
      } else if case .list(var items) = blocks.last, line.hasPrefix(" ") {
        // An indented line belongs to the item above it.
        items[items.count - 1] += (isAfterBlank ? "\n" : " ") + content
        blocks[blocks.count - 1] = .list(items)
      } else if case .paragraph(let text) = blocks.last, !isAfterBlank {
        blocks[blocks.count - 1] = .paragraph(text + " " + content)
      } else {
        blocks.append(.paragraph(String(content)))
      }
      isAfterBlank = false
    }
    self.blocks = blocks
  }

  var html: HTML {
    let parts = blocks.map { block -> HTML in
      switch block {
      case .paragraph(let text): return "<p>\(inline(text))</p>\n"
      case .list(let items):
        let markup = items.map { "<li>\(inline($0))</li>\n" as HTML }
        return "<ul>\(markup)</ul>\n"
      }
    }
    return "\(parts)"
  }

  /// The text without paragraphs, for a place that has no room for them.
  var inlineHTML: HTML {
    let lines = blocks.flatMap { block in
      switch block {
      case .paragraph(let text): [text]
      case .list(let items): items
      }
    }
    return lines.map(inline).joined(by: " ")
  }

  /// Each second part between backticks is code. A backtick without a partner is text.
  private func inline(_ text: String) -> HTML {
    let parts = text.split(separator: "`", omittingEmptySubsequences: false).map(String.init)
    let markup = parts.enumerated().map { index, part -> HTML in
      if index % 2 == 0 { return "\(part)" }
      if index == parts.count - 1 { return "`\(part)" }
      guard let address = address(part) else { return "<code>\(part)</code>" }
      return "<a href=\"\(address)\"><code>\(part)</code></a>"
    }
    return "\(markup)"
  }
}
