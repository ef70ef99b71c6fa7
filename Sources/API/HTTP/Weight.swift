/// The weight of a choice, such as `q=0.5`, from 0 to 1 (RFC 9110, section 12.4.2).
struct Weight {
  /// The weight of a choice without `q`, in thousandths.
  static let full = 1000

  let thousandths: Int

  /// Nil if the parameter is not a weight.
  init?(_ parameter: Substring.UTF8View) {
    let bytes = Array(parameter)
    guard 3...7 ~= bytes.count, bytes[0].lowercasedASCII == UInt8(ascii: "q"), bytes[1] == UInt8(ascii: "="),
      bytes.count == 3 || bytes[3] == UInt8(ascii: ".")
    else { return nil }
    let digits: [UInt8] = [bytes[2]] + bytes.dropFirst(4)
    guard digits.allSatisfy(\.isDigit) else { return nil }
    let number = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    thousandths = (digits.count..<4).reduce(number) { scaled, _ in scaled * 10 }
    if thousandths > Self.full { return nil }
  }
}
