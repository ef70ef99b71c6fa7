extension Int64 {
  /// The exact value of a JSON number (RFC 8259, section 6). Nil if it is no integer between -(2^63 - 1) and 2^63 - 1.
  ///
  /// `7.0` and `70e-1` are integers, too (JSON Schema 2020-12, section 4.2.3). Some clients write all numbers like
  /// that.
  ///
  /// - Parameter number: a valid JSON number.
  init?(jsonNumber number: Slice<UnsafeRawBufferPointer>) {
    // The number is digits * 10^(zeros - fractionDigits + exponent). Zeros become digits only if another digit follows.
    var digits: Int64 = 0
    var zeros = 0
    var fractionDigits = 0
    var isFraction = false
    var rest = number[...]
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative { rest.removeFirst() }
    while let byte = rest.first, byte | 0x20 != UInt8(ascii: "e") {
      rest.removeFirst()
      if byte == UInt8(ascii: ".") {
        isFraction = true
        continue
      }
      if isFraction { fractionDigits += 1 }
      if byte == UInt8(ascii: "0") {
        if digits != 0 { zeros += 1 }
        continue
      }
      guard let shifted = digits.shifted(byDigits: zeros + 1) else { return nil }
      let (sum, isOverflow) = shifted.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
      if isOverflow { return nil }
      digits = sum
      zeros = 0
    }
    guard digits != 0 else {
      self = 0
      return
    }
    let trailing = zeros - fractionDigits + Self.exponent(rest.dropFirst())
    guard trailing >= 0, let value = digits.shifted(byDigits: trailing) else { return nil }
    self = isNegative ? -value : value
  }

  /// The product with a power of ten. Nil if it overflows.
  private func shifted(byDigits count: Int) -> Int64? {
    if self == 0 { return 0 }
    var value = self
    for _ in 0..<count {
      let (product, isOverflow) = value.multipliedReportingOverflow(by: 10)
      if isOverflow { return nil }
      value = product
    }
    return value
  }

  /// A bound that prevents overflow. A body that has this many digits is too large.
  private static let maximumExponent = 1_000_000

  private static func exponent(_ text: Slice<UnsafeRawBufferPointer>) -> Int {
    var exponent = 0
    for byte in text where UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
      exponent = Swift.min(exponent * 10 + Int(byte - UInt8(ascii: "0")), maximumExponent)
    }
    return text.first == UInt8(ascii: "-") ? -exponent : exponent
  }
}
