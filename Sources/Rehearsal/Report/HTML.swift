/// Text in HTML and SVG.
enum HTML {
  static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  /// - Parameters:
  ///   - rows: text, not HTML.
  ///   - numbers: the columns from this one on are aligned to the right.
  static func table(_ header: [String], _ rows: [[String]], numbersFrom numbers: Int = 1) -> String {
    func cells(_ tag: String, _ row: [String]) -> String {
      row.enumerated().map { index, text in
        "<\(tag)\(index >= numbers ? " class=\"number\"" : "")>\(escape(text))</\(tag)>"
      }.joined()
    }
    let head = "<thead><tr>\(cells("th", header))</tr></thead>"
    let body = rows.map { "<tr>\(cells("td", $0))</tr>" }.joined(separator: "\n")
    return "<table>\(head)<tbody>\(body)</tbody></table>"
  }
}
