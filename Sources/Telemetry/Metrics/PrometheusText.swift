package enum MetricKind: String, Sendable {
  case counter, gauge, histogram
}

/// A text in Prometheus' text exposition format, version 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
package struct PrometheusText: Sendable {
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  package private(set) var text = ""

  package init() {}

  /// Begins a metric. Its samples must follow. Each metric must begin once.
  package mutating func begin(_ name: String, kind: MetricKind, help: String?) {
    if let help { text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n" }
    text += "# TYPE \(name) \(kind.rawValue)\n"
  }

  /// Adds a sample.
  ///
  /// - Parameter labels: a result of `labels(_:)`.
  package mutating func add(_ name: String, labels: String = "", _ value: Double) {
    add(name, suffix: "", labels: labels, value)
  }

  mutating func add(_ name: String, suffix: String, labels: String, _ value: Double) {
    text += name + suffix + (labels.isEmpty ? " " : "{\(labels)} ") + Self.number(value) + "\n"
  }

  mutating func add(_ name: String, suffix: String, labels: String, bound: Double, _ value: Double) {
    let separator = labels.isEmpty ? "" : ","
    add(name, suffix: suffix, labels: "\(labels)\(separator)le=\"\(Self.number(bound))\"", value)
  }

  /// The text of labels between braces, sorted by name.
  package static func labels(_ labels: [(String, String)]) -> String {
    labels.map { (labelName($0.0), $0.1) }.sorted { $0.0 < $1.0 }
      .map { "\($0.0)=\"\(escaped($0.1, quotes: true))\"" }.joined(separator: ",")
  }

  /// A valid name: letters, digits, underscores and colons, not beginning with a digit. Other bytes become underscores.
  static func metricName(_ name: String) -> String {
    sanitized(name) { $0 == UInt8(ascii: ":") }
  }

  /// Like `metricName`, but colons become underscores.
  static func labelName(_ name: String) -> String {
    sanitized(name) { _ in false }
  }

  private static func sanitized(_ name: String, _ isAlsoAllowed: (UInt8) -> Bool) -> String {
    var bytes = name.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        byte
      default: isAlsoAllowed(byte) ? byte : UInt8(ascii: "_")
      }
    }
    if bytes.first.map({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) ?? true {
      bytes.insert(UInt8(ascii: "_"), at: 0)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    // Without ".0", because that is easier to read.
    return Int64(exactly: value).map { String($0) } ?? "\(value)"
  }
}
