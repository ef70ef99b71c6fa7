/// The media types that a client accepts (RFC 9110, section 12.5.1).
enum Accept {
  /// The media type that the client prefers. Of two with the same weight, the first one. Nil if it accepts none.
  ///
  /// - Parameters:
  ///   - types: in lower case, without parameters.
  ///   - value: the value of `Accept`. Nil or empty accepts everything.
  static func preferred<Types: Collection<String>>(of types: Types, _ value: String?) -> String? {
    let ranges = (value ?? "").utf8.split(separator: UInt8(ascii: ",")).map(MediaRange.init)
    if ranges.isEmpty { return types.first }
    var best: (type: String, weight: Int)?
    for type in types {
      // The most specific range counts.
      let range = ranges.filter { $0.contains(type) }.max { $0.specificity < $1.specificity }
      if let range, range.weight > best?.weight ?? 0 { best = (type, range.weight) }
    }
    return best?.type
  }
}

/// A range of media types, such as `text/csv;q=0.5` or `text/*`. Parameters other than the weight are ignored.
private struct MediaRange {
  private let type: [UInt8]
  /// In thousandths. A client that sends an invalid weight does not get the type.
  let weight: Int

  init(_ text: Substring.UTF8View) {
    let parts = text.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
    type = parts[0].trimmed.map(\.lowercasedASCII)
    let weights = parts.dropFirst().map(\.trimmed).filter { $0.prefix(2).isWord("q=") }
    weight = weights.first.map { Weight($0)?.thousandths ?? 0 } ?? Weight.full
  }

  var specificity: Int { isAll ? 0 : isGroup ? 1 : 2 }

  func contains(_ other: String) -> Bool {
    if isAll { return true }
    return isGroup ? other.utf8.starts(with: type.dropLast()) : other.utf8.elementsEqual(type)
  }

  private var isAll: Bool { type == Array("*/*".utf8) }
  private var isGroup: Bool { type.suffix(2) == Array("/*".utf8)[...] }
}
