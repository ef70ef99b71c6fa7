import Foundation

extension Report {
  /// The whole evidence and all findings as one JSON object, in pieces.
  ///
  /// Each buyer and each request is one line. A run has hundreds of thousands, so they are not encoded at once.
  package func writeJSON(_ write: (String) throws -> Void) throws {
    struct Head: Encodable {
      let url: String
      let started_at: Int64
      let scenario: Scenario
      let product: Evidence.Product
      let holds: Bool
      let verdict: String
      let notes: [String]
      let was_interrupted: Bool
      let is_paused: Bool
      let end: Microseconds
    }
    let head = Head(
      url: evidence.url, started_at: evidence.startedAt, scenario: evidence.plan.scenario, product: evidence.product,
      holds: holds, verdict: verdict, notes: notes, was_interrupted: evidence.wasInterrupted,
      is_paused: evidence.isPaused, end: evidence.end)
    try write("{\"time_unit\":\"microseconds since the start\",\n\"run\":")
    try write(Self.encode(head))
    try write(",\n\"checks\":")
    try writeArray(checks, write)
    try write(",\n\"statistics\":")
    try write(Self.encode(statistics))
    try write(",\n\"readings\":")
    try write(Self.encode(evidence.readings))
    try write(",\n\"kills\":")
    try writeArray(evidence.kills, write)
    try write(",\n\"buyers\":")
    try writeArray(evidence.plan.buyers, write)
    try write(",\n\"requests\":")
    try writeArray(evidence.requests, write)
    try write(",\n\"skipped\":")
    try writeArray(evidence.skipped, write)
    try write("}\n")
  }

  private func writeArray(_ elements: [some Encodable], _ write: (String) throws -> Void) throws {
    try write("[")
    var isFirst = true
    for element in elements {
      try write(isFirst ? "\n" : ",\n")
      isFirst = false
      try write(Self.encode(element))
    }
    try write("]")
  }

  private static func encode(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}
