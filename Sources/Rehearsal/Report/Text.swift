import Foundation

/// Numbers and times as text for people.
enum Text {
  static func milliseconds(_ time: Microseconds) -> String {
    let value = time.inMilliseconds
    return String(format: value < 10 ? "%.2f ms" : value < 100 ? "%.1f ms" : "%.0f ms", value)
  }

  static func milliseconds(_ time: Microseconds?) -> String { time.map { milliseconds($0) } ?? "-" }

  static func seconds(_ time: Microseconds) -> String { String(format: "%.1f s", time.inSeconds) }

  static func seconds(_ time: Microseconds?) -> String { time.map { seconds($0) } ?? "-" }

  /// A whole number with separators, such as 20,000.
  static func count(_ number: Int) -> String {
    var groups: [Substring] = []
    var digits = Substring(String(number.magnitude))
    while digits.count > 3 {
      groups.insert(digits.suffix(3), at: 0)
      digits = digits.dropLast(3)
    }
    groups.insert(digits, at: 0)
    return (number < 0 ? "-" : "") + groups.joined(separator: ",")
  }

  static func percent(_ share: Double) -> String { String(format: "%.1f %%", share * 100) }

  static func correlation(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
}
