/// What a client notes on a hold or an order: at least one string, each under a name.
package struct Metadata: Sendable, Hashable {
  /// The most strings of one request. An order may have more, because it has those of its hold, too.
  package static let maximumCount = 10
  /// In Unicode scalars. A name has at least one.
  package static let maximumNameLength = 40
  /// In Unicode scalars.
  package static let maximumValueLength = 500

  private let text: VerbatimText

  /// A JSON object with the order and the white space of a `jsonb` that PostgreSQL prints. So the text of a request
  /// equals the text that the database returns for it.
  package var json: String { text.text }

  /// - Parameter members: names that differ from each other, with their strings. Nil when there are none.
  package init?(_ members: [(name: String, value: String)]) {
    guard !members.isEmpty else { return nil }
    // PostgreSQL compares the lengths of the names first, then their bytes (`lengthCompareJsonbStringValue`).
    let sorted = members.sorted { one, other in
      let lengths = (one.name.utf8.count, other.name.utf8.count)
      return lengths.0 == lengths.1
        ? one.name.utf8.lexicographicallyPrecedes(other.name.utf8) : lengths.0 < lengths.1
    }
    let texts = sorted.map { "\(Self.quoted($0.name)): \(Self.quoted($0.value))" }
    self.init(json: "{\(texts.joined(separator: ", "))}")
  }

  /// - Parameter json: the text of a `jsonb` with an object of strings, as PostgreSQL prints it.
  init(json: String) {
    text = VerbatimText(json)
  }

  /// A JSON string with the escapes of PostgreSQL (`escape_json`).
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += #"\""#
      case "\\": quoted += #"\\"#
      case "\u{8}": quoted += #"\b"#
      case "\u{C}": quoted += #"\f"#
      case "\n": quoted += #"\n"#
      case "\r": quoted += #"\r"#
      case "\t": quoted += #"\t"#
      case "\0"..<" ": quoted += (scalar.value < 0x10 ? #"\u000"# : #"\u00"#) + String(scalar.value, radix: 16)
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
