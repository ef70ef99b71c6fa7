/// The content codings that a client accepts (RFC 9110, section 12.5.3).
enum AcceptEncoding {
  /// Whether the client accepts gzip, and does not prefer a response without content coding.
  ///
  /// - Parameter value: the value of `Accept-Encoding`. Nil if there is no such field.
  static func prefersGzip(_ value: String?) -> Bool {
    var gzip: Int?
    var others: Int?
    var identity = 0
    for entry in (value ?? "").utf8.split(separator: UInt8(ascii: ",")) {
      let parts = entry.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
      let coding = parts[0].trimmed
      // A client that sends an invalid weight gets the response without coding, which every client can read.
      let weight =
        parts.count == 1 ? Weight.full : parts.count == 2 ? Weight(parts[1].trimmed)?.thousandths ?? 0 : 0
      if coding.isWord("gzip") || coding.isWord("x-gzip") {
        gzip = max(gzip ?? 0, weight)
      } else if coding.isWord("*") {
        others = weight
      } else if coding.isWord("identity") {
        identity = weight
      }
    }
    let weight = gzip ?? others ?? 0
    return weight > 0 && weight >= identity
  }
}
