/// Markup that is also well-formed XML, so a test can parse the page.
///
/// Only literals of the source are markup. An interpolated string is text, and is escaped:
/// `let item: HTML = "<li>\(text)</li>"`.
package struct HTML: ExpressibleByStringInterpolation, Sendable {
  package private(set) var markup: String

  package init(stringLiteral markup: String) { self.markup = markup }
  package init(stringInterpolation: Interpolation) { markup = stringInterpolation.markup }

  package typealias StringInterpolation = Interpolation

  package struct Interpolation: StringInterpolationProtocol {
    fileprivate var markup = ""

    package init(literalCapacity: Int, interpolationCount: Int) {}
    package mutating func appendLiteral(_ markup: String) { self.markup += markup }
    package mutating func appendInterpolation(_ text: String) { markup += HTML.escape(text) }
    package mutating func appendInterpolation(_ html: HTML) { markup += html.markup }
    package mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { markup += part.markup } }
  }

  static func + (left: HTML, right: HTML) -> HTML { "\(left)\(right)" }
  static func += (left: inout HTML, right: HTML) { left.markup += right.markup }

  /// The text for an element or a quoted attribute.
  private static func escape(_ text: String) -> String {
    var escaped = ""
    // Scalars, not characters: in a character, a combining mark can follow `<`.
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}

extension [HTML] {
  func joined(by separator: HTML) -> HTML {
    var result: HTML = ""
    for (index, part) in enumerated() { result += index == 0 ? part : separator + part }
    return result
  }
}
