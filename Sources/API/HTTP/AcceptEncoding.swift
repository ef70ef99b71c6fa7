/// The content codings that a client accepts (RFC 9110, section 12.5.3).
enum AcceptEncoding {
  /// The weight of a coding without `q`. Weights are in thousandths.
  private static let full = 1000

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
      let weight = parts.count == 1 ? full : parts.count == 2 ? Self.weight(parts[1].trimmed) ?? 0 : 0
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

  /// The value of `q=0.5` in thousandths. Nil if the parameter is not a weight from 0 to 1 (RFC 9110, section 12.4.2).
  private static func weight(_ parameter: Substring.UTF8View) -> Int? {
    let bytes = Array(parameter)
    guard 3...7 ~= bytes.count, bytes[0].lowercasedASCII == UInt8(ascii: "q"), bytes[1] == UInt8(ascii: "="),
      bytes.count == 3 || bytes[3] == UInt8(ascii: ".")
    else { return nil }
    let digits: [UInt8] = [bytes[2]] + bytes.dropFirst(4)
    guard digits.allSatisfy(\.isDigit) else { return nil }
    let number = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    let weight = (digits.count..<4).reduce(number) { scaled, _ in scaled * 10 }
    return weight <= full ? weight : nil
  }
}
