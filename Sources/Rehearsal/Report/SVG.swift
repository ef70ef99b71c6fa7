import Foundation

/// Elements of an SVG picture.
enum SVG {
  static func number(_ value: Double) -> String { String(format: "%.1f", value) }

  static func line(_ style: String, from start: (x: Double, y: Double), to end: (x: Double, y: Double)) -> String {
    let (x1, y1, x2, y2) = (number(start.x), number(start.y), number(end.x), number(end.y))
    return #"<line class="\#(style)" x1="\#(x1)" y1="\#(y1)" x2="\#(x2)" y2="\#(y2)"/>"#
  }

  static func path(_ style: String, _ data: String) -> String { #"<path class="\#(style)" d="\#(data)"/>"# }

  static func dot(_ style: String, _ x: Double, _ y: Double) -> String {
    #"<circle class="\#(style)" cx="\#(number(x))" cy="\#(number(y))" r="1.8"/>"#
  }

  /// - Parameters:
  ///   - anchor: `start`, `middle` or `end`.
  ///   - isUpward: turned by 90 degrees, read from below.
  static func text(
    _ text: String, _ x: Double, _ y: Double, anchor: String = "start", isUpward: Bool = false
  ) -> String {
    let (x, y) = (number(x), number(y))
    let place = isUpward ? #"transform="translate(\#(x) \#(y)) rotate(-90)""# : #"x="\#(x)" y="\#(y)""#
    return #"<text text-anchor="\#(anchor)" \#(place)>\#(HTML.escape(text))</text>"#
  }
}
