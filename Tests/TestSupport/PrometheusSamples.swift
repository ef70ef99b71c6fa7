/// Parses Prometheus' text exposition format strictly. Every deviation from the format is an error.
package struct PrometheusSamples: Sendable {
  package struct Sample: Sendable {
    package let name: String
    package let labels: [String: String]
    package let value: Double
  }

  /// The type of each metric.
  package private(set) var types: [String: String] = [:]
  package private(set) var helps: [String: String] = [:]
  package private(set) var samples: [Sample] = []

  /// - Throws: ``Unexpected`` with the line that is not valid.
  package init(parsing text: String) throws {
    guard text.hasSuffix("\n") else { throw Unexpected("the last line has no line break") }
    var current: String?
    for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
      var rest = line
      if line.hasPrefix("# ") {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 4, Self.isName(words[2], colons: true) else { throw Unexpected("\(line)") }
        switch words[1] {
        case "HELP" where helps[words[2]] == nil && types[words[2]] == nil: helps[words[2]] = words[3]
        case "TYPE" where types[words[2]] == nil && ["counter", "gauge", "histogram"].contains(words[3]):
          types[words[2]] = words[3]
          current = words[2]
        default: throw Unexpected("\(line)")
        }
        continue
      }
      let name = String(rest.prefix { $0 != "{" && $0 != " " })
      rest.removeFirst(name.count)
      let labels = try Self.takeLabels(&rest)
      guard rest.first == " ", let value = Self.number(String(rest.dropFirst())) else { throw Unexpected("\(line)") }
      guard let current, let type = types[current] else { throw Unexpected("a sample before its type: \(line)") }
      let names = type == "histogram" ? ["_bucket", "_sum", "_count"].map { current + $0 } : [current]
      guard names.contains(name) else { throw Unexpected("a sample of another metric than \(current): \(line)") }
      guard type != "counter" || value >= 0 else { throw Unexpected("a counter below 0: \(line)") }
      guard !samples.contains(where: { $0.name == name && $0.labels == labels }) else {
        throw Unexpected("a second sample with the same labels: \(line)")
      }
      samples.append(Sample(name: name, labels: labels, value: value))
    }
    for (name, type) in types where type == "histogram" { try checkHistogram(name) }
  }

  /// The value of the only sample with these labels. The sample may have other labels. Nil for none or several samples.
  package subscript(name: String, labels: [String: String]) -> Double? {
    let found = samples.filter { sample in
      sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }
    return found.count == 1 ? found[0].value : nil
  }

  package subscript(name: String) -> Double? { self[name, [:]] }

  /// The sum of all samples with this name and these labels.
  package func sum(_ name: String, _ labels: [String: String] = [:]) -> Double {
    samples.reduce(0) { sum, sample in
      sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value } ? sum + sample.value : sum
    }
  }

  /// Bounds and values of buckets must not fall. The last bound must be infinity, with the value of `_count`.
  private func checkHistogram(_ name: String) throws {
    let buckets = Dictionary(grouping: samples.filter { $0.name == name + "_bucket" }) { sample in
      sample.labels.filter { $0.key != "le" }
    }
    for (labels, buckets) in buckets {
      let bounds = buckets.compactMap { $0.labels["le"].flatMap(Self.number) }
      guard bounds.count == buckets.count, zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 }),
        bounds.last == .infinity, zip(buckets, buckets.dropFirst()).allSatisfy({ $0.value <= $1.value }),
        samples.contains(where: {
          $0.name == name + "_count" && $0.labels == labels && $0.value == buckets.last?.value
        }),
        samples.contains(where: { $0.name == name + "_sum" && $0.labels == labels })
      else { throw Unexpected("the histogram \(name) with \(labels)") }
    }
  }

  private static func takeLabels(_ rest: inout Substring) throws -> [String: String] {
    guard rest.first == "{" else { return [:] }
    let whole = rest
    rest.removeFirst()
    var labels: [String: String] = [:]
    while true {
      let name = String(rest.prefix { $0 != "=" })
      rest.removeFirst(name.count)
      guard isName(name, colons: false), labels[name] == nil, rest.hasPrefix("=\"") else {
        throw Unexpected("\(whole)")
      }
      rest.removeFirst(2)
      var value = ""
      while let character = rest.popFirst(), character != "\"" {
        if character != "\\" {
          value.append(character)
          continue
        }
        switch rest.popFirst() {
        case "\\": value.append("\\")
        case "\"": value.append("\"")
        case "n": value.append("\n")
        default: throw Unexpected("\(whole)")
        }
      }
      labels[name] = value
      switch rest.popFirst() {
      case "}": return labels
      case ",": continue
      default: throw Unexpected("\(whole)")
      }
    }
  }

  private static func isName(_ name: String, colons: Bool) -> Bool {
    guard let first = name.first, !first.isNumber else { return false }
    return name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || (colons && $0 == ":")) }
  }

  private static func number(_ text: String) -> Double? {
    switch text {
    case "+Inf": .infinity
    case "-Inf": -.infinity
    case "NaN": .nan
    default: text.allSatisfy { $0.isASCII && ($0.isNumber || "+-.e".contains($0)) } ? Double(text) : nil
    }
  }
}
