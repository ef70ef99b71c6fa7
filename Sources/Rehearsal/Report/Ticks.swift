import Foundation

/// Round values along an axis that starts at 0.
enum Ticks {
  /// About five values.
  static func upTo(_ maximum: Double) -> [Double] {
    let step = step(upTo: maximum)
    return (0...Int((maximum / step + 1e-9).rounded(.down))).map { Double($0) * step }
  }

  /// 1, 2 or 5 times a power of ten.
  static func step(upTo maximum: Double) -> Double {
    let rough = max(maximum, 1e-6) / 5
    let power = pow(10, log10(rough).rounded(.down))
    return ([1.0, 2, 5].first { $0 * power >= rough * 0.999 } ?? 10) * power
  }

  static func label(_ value: Double) -> String {
    value >= 1 && value == value.rounded() ? Text.count(Int(value)) : String(format: "%g", value)
  }
}
