import Foundation

/// A plot as SVG. Series differ by colour and by dashes, so that it can be read on paper.
struct Chart {
  enum Style {
    case line
    /// A line that keeps its value until the next point.
    case steps
    case dots
  }

  struct Series {
    var name: String
    var points: [(x: Double, y: Double)]
    var style = Style.line
  }

  var title: String
  var xLabel: String
  var yLabel: String
  /// At most four.
  var series: [Series]
  /// Vertical lines, such as kills.
  var marks: [Double] = []
  var isLogarithmic = false

  private static let (width, height) = (760.0, 300.0)
  private static let (left, right, top, bottom) = (64.0, 744.0, 28.0, 256.0)
  private static let legendWidth = 150.0

  func svg() -> String {
    let points = series.flatMap(\.points)
    let frame = Frame(
      xMaximum: max(points.map(\.x).max() ?? 1, marks.max() ?? 0), yMaximum: points.map(\.y).max() ?? 1,
      isLogarithmic: isLogarithmic)
    let size = "0 0 \(Int(Self.width)) \(Int(Self.height))"
    var parts = [#"<svg viewBox="\#(size)" role="img" aria-label="\#(HTML.escape(title))">"#]
    parts += axes(frame)
    parts += marks.map { SVG.line("mark", from: (frame.x($0), Self.top), to: (frame.x($0), Self.bottom)) }
    for (index, series) in series.enumerated() {
      parts.append(draw(series, "s\(index)", frame))
      parts += legend(series, index)
    }
    return (parts + ["</svg>"]).joined(separator: "\n")
  }

  /// The picture's coordinates of values.
  private struct Frame {
    /// The lowest value of a logarithmic axis.
    static let smallest = 0.01

    let xMaximum: Double
    let yTop: Double
    let isLogarithmic: Bool

    init(xMaximum: Double, yMaximum: Double, isLogarithmic: Bool) {
      self.xMaximum = max(xMaximum, 1e-9)
      self.isLogarithmic = isLogarithmic
      let step = Ticks.step(upTo: yMaximum)
      yTop =
        isLogarithmic
        ? pow(10, log10(max(yMaximum, Self.smallest * 10)).rounded(.up))
        : max(step, (yMaximum / step).rounded(.up) * step)
    }

    func x(_ value: Double) -> Double { Chart.left + value / xMaximum * (Chart.right - Chart.left) }

    func y(_ value: Double) -> Double {
      let share =
        isLogarithmic
        ? log10(max(value, Self.smallest) / Self.smallest) / log10(yTop / Self.smallest) : value / yTop
      return Chart.bottom - share * (Chart.bottom - Chart.top)
    }

    var yTicks: [Double] {
      guard isLogarithmic else { return Ticks.upTo(yTop) }
      let decades = Int(log10(yTop / Self.smallest).rounded())
      return (0...decades).map { Self.smallest * pow(10, Double($0)) }
    }
  }

  private func draw(_ series: Series, _ style: String, _ frame: Frame) -> String {
    if series.style == .dots {
      return series.points.map { SVG.dot(style, frame.x($0.x), frame.y($0.y)) }.joined()
    }
    var data = ""
    for point in series.points {
      let (x, y) = (SVG.number(frame.x(point.x)), SVG.number(frame.y(point.y)))
      data += data.isEmpty ? "M\(x) \(y)" : series.style == .steps ? "H\(x)V\(y)" : "L\(x) \(y)"
    }
    return data.isEmpty ? "" : SVG.path(style, data)
  }

  private func legend(_ series: Series, _ index: Int) -> [String] {
    let x = Self.left + Double(index) * Self.legendWidth
    let sample =
      series.style == .dots
      ? SVG.dot("s\(index)", x + 20, 12)
      : SVG.path("s\(index)", "M\(SVG.number(x)) 12H\(SVG.number(x + 28))")
    return [sample, SVG.text(series.name, x + 34, 16)]
  }

  private func axes(_ frame: Frame) -> [String] {
    var parts: [String] = []
    for value in frame.yTicks {
      let y = frame.y(value)
      parts.append(SVG.line("grid", from: (Self.left, y), to: (Self.right, y)))
      parts.append(SVG.text(Ticks.label(value), Self.left - 6, y + 4, anchor: "end"))
    }
    for value in Ticks.upTo(frame.xMaximum) {
      parts.append(SVG.text(Ticks.label(value), frame.x(value), Self.bottom + 16, anchor: "middle"))
    }
    parts.append(SVG.line("axis", from: (Self.left, Self.bottom), to: (Self.right, Self.bottom)))
    parts.append(SVG.text(xLabel, (Self.left + Self.right) / 2, Self.height - 8, anchor: "middle"))
    parts.append(SVG.text(yLabel, 14, (Self.top + Self.bottom) / 2, anchor: "middle", isUpward: true))
    return parts
  }
}
