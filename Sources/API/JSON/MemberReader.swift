import Checkout
import NIOCore
import Time

/// Reads the members of a JSON object and collects all errors, so that the client gets them in one response.
///
/// A method that reads a member returns nil if the member is invalid, and adds an error.
struct MemberReader<Name: RawRepresentable<String>> {
  private let object: ByteBuffer
  private let members: [JSONSyntax.Member]
  private var errors: [Problem.InvalidMember] = []

  /// - Throws: `JSONSyntax.Violation` if the text is not one JSON object.
  init(_ object: ByteBuffer, _: Name.Type = Name.self) throws {
    self.object = object
    members = try object.withUnsafeReadableBytes { try JSONSyntax.members(of: $0) }
  }

  func contains(_ name: Name) -> Bool { find(name) != nil }

  /// An integer between 1 and 2^31 - 1.
  mutating func positiveInteger(_ name: Name) -> Int32? {
    guard isPresent(name) else { return invalid(name, "is required") }
    guard let value = integer(name).flatMap(Int32.init(exactly:)), value >= 1 else {
      return invalid(name, "must be an integer from 1 to \(Int32.max)")
    }
    return value
  }

  /// As above, of a member with two names. If both are present, the first one counts.
  mutating func positiveInteger(_ name: Name, or other: Name) -> Int32? {
    positiveInteger(contains(other) && !contains(name) ? other : name)
  }

  /// A string of 1 to `maximumLength` Unicode scalars. PostgreSQL cannot store U+0000, so that is invalid.
  mutating func string(_ name: Name, maximumLength: Int) -> String? {
    guard isPresent(name) else { return invalid(name, "is required") }
    guard let value = text(name) else { return invalid(name, "must be a string") }
    guard 1...maximumLength ~= value.unicodeScalars.count else {
      return invalid(name, "must have 1 to \(maximumLength) characters")
    }
    guard !value.unicodeScalars.contains("\0") else { return invalid(name, "must not contain U+0000") }
    return value
  }

  /// A raw value of an enumeration.
  mutating func word<Value: RawRepresentable<String> & CaseIterable>(
    _ name: Name, _ type: Value.Type = Value.self
  ) -> Value? {
    guard isPresent(name) else { return invalid(name, "is required") }
    guard let text = text(name), let value = Value.allCases.first(where: { $0.rawValue.isVerbatim(text) }) else {
      return invalid(name, "must be one of: \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return value
  }

  /// An ISO 4217 code: three capital letters.
  mutating func currency(_ name: Name) -> String? {
    guard isPresent(name) else { return invalid(name, "is required") }
    guard let value = text(name), value.utf8.count == 3,
      value.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 })
    else {
      return invalid(name, "must be three capital letters (ISO 4217)")
    }
    return value
  }

  /// An ISO 4217 code in either case, because some payment providers send lower case. The result is in upper case.
  mutating func currencyInAnyCase(_ name: Name) -> String? {
    text(name)?.uppercasedCurrency ?? invalid(name, "must be three letters (ISO 4217)")
  }

  /// The shop's id of a customer: 1 to 255 Unicode scalars.
  ///
  /// Ids that look the same would each have a limit per customer. So white space at either end and invisible characters
  /// are invalid.
  mutating func customerID(_ name: Name) -> String? {
    guard let value = string(name, maximumLength: 255) else { return nil }
    if value.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) { return value }
    let scalars = value.unicodeScalars
    guard scalars.first?.properties.isWhitespace == false, scalars.last?.properties.isWhitespace == false else {
      return invalid(name, "must not begin or end with white space")
    }
    guard !scalars.contains(where: \.isInvisible) else {
      return invalid(name, "must not contain control or format characters, such as a line feed or U+200B")
    }
    return value
  }

  /// An integer between -(2^31 - 1) and 2^31 - 1 that is not 0.
  mutating func difference(_ name: Name) -> Int32? {
    guard isPresent(name) else { return invalid(name, "is required") }
    guard let value = integer(name).flatMap(Int32.init(exactly:)), value != 0, value != .min else {
      return invalid(name, "must be an integer from \(-Int32.max) to \(Int32.max), not 0")
    }
    return value
  }

  /// `true` or `false`.
  mutating func boolean(_ name: Name) -> Bool? {
    let value = read(name) { value -> Bool? in
      switch value.first {
      case UInt8(ascii: "t"): true
      case UInt8(ascii: "f"): false
      default: nil
      }
    }
    return value.flatMap(\.self) ?? invalid(name, "must be true or false")
  }

  /// A time (RFC 3339).
  mutating func timestamp(_ name: Name) -> Timestamp? {
    guard let text = text(name), let value = Timestamp(rfc3339: text) else {
      return invalid(name, "must be a time such as 2026-11-27T09:00:00Z (RFC 3339)")
    }
    return value
  }

  /// The change that a merge patch (RFC 7396) makes. An absent member changes nothing, and null removes the value.
  mutating func change<Value>(_ name: Name, _ read: (inout Self, Name) -> Value?) -> UpdateProduct.Change<Value> {
    contains(name) ? .set(ifPresent(name, read)) : .unchanged
  }

  /// Adds an error that the value alone does not show, such as a contradiction between two members.
  mutating func refuse(_ name: Name, _ detail: String) {
    errors.append(Problem.InvalidMember(pointer: "/" + name.rawValue, detail: detail))
  }

  /// The value that `read` returns. Nil, without an error, if the member is absent or null.
  mutating func ifPresent<Value>(_ name: Name, _ read: (inout Self, Name) -> Value?) -> Value? {
    isPresent(name) ? read(&self, name) : nil
  }

  /// A number of seconds, which may have a fraction.
  mutating func seconds(_ name: Name) -> Double? {
    let value = read(name) { number -> Double? in
      switch number[number.startIndex] {
      case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): Double(String(decoding: number, as: UTF8.self))
      default: nil
      }
    }
    guard let seconds = value.flatMap(\.self), seconds.isFinite else {
      return invalid(name, "must be a number of seconds")
    }
    return seconds
  }

  /// A string, or an array of strings.
  mutating func strings(_ name: Name) -> [String]? {
    if let text = text(name) { return [text] }
    return texts(name) ?? invalid(name, "must be a string, or an array of strings")
  }

  /// An array of strings. It may be empty.
  mutating func array(_ name: Name) -> [String]? {
    texts(name) ?? invalid(name, "must be an array of strings")
  }

  /// An object of strings, with an error for each that is invalid. An empty object is nil, without an error.
  mutating func metadata(_ name: Name) -> Metadata? {
    let members = read(name) { value -> [(name: String, value: String?)]? in
      guard value.first == UInt8(ascii: "{") else { return nil }
      let object = UnsafeRawBufferPointer(rebasing: value)
      return JSONSyntax.members(ofObject: object).map { member in
        let text = object[member.value]
        return (name: member.name, value: text.first == UInt8(ascii: "\"") ? JSONSyntax.text(ofString: text) : nil)
      }
    }
    guard let members = members.flatMap(\.self) else { return invalid(name, "must be an object of strings") }
    guard members.count <= Metadata.maximumCount else {
      return invalid(name, "must have at most \(Metadata.maximumCount) members")
    }
    let previousErrors = errors.count
    for (index, member) in members.enumerated() {
      let isRepeated = members[..<index].contains { $0.name.isVerbatim(member.name) }
      if let detail = Self.violation(of: member.name, member.value, isRepeated: isRepeated) {
        errors.append(
          Problem.InvalidMember(pointer: "/\(name.rawValue)/\(member.name.asPointerToken)", detail: detail))
      }
    }
    guard errors.count == previousErrors else { return nil }
    return Metadata(members.map { (name: $0.name, value: $0.value ?? "") })
  }

  /// The reason why metadata cannot have this member. Nil if it can.
  private static func violation(of name: String, _ value: String?, isRepeated: Bool) -> String? {
    if isRepeated { return "occurs twice" }
    guard 1...Metadata.maximumNameLength ~= name.unicodeScalars.count else {
      return "must have a name of 1 to \(Metadata.maximumNameLength) characters"
    }
    guard let value else { return "must be a string" }
    guard value.unicodeScalars.count <= Metadata.maximumValueLength else {
      return "must have at most \(Metadata.maximumValueLength) characters"
    }
    return name.unicodeScalars.contains("\0") || value.unicodeScalars.contains("\0") ? "must not contain U+0000" : nil
  }

  /// An integer that is not negative.
  mutating func amount(_ name: Name) -> Int64? {
    guard let value = integer(name), value >= 0 else {
      return invalid(name, "must be an integer, at least 0")
    }
    return value
  }

  /// An integer between 1 and 2^63 - 1.
  mutating func positiveAmount(_ name: Name) -> Int64? {
    guard let value = integer(name), value >= 1 else {
      return invalid(name, "must be an integer, at least 1")
    }
    return value
  }

  /// The values, if there are no errors.
  ///
  /// Mutating, so that it sees the errors of its own arguments. Otherwise Swift would copy `self` before it evaluates
  /// the argument in `require(members.string(…))`.
  ///
  /// - Throws: `Problem.validation` with all errors.
  mutating func require<each Value>(_ values: repeat (each Value)?) throws -> (repeat each Value) {
    try requireValid()
    return (repeat (each values)!)  // a nil value has added an error
  }

  /// - Throws: `Problem.validation` with all errors.
  func requireValid() throws {
    guard errors.isEmpty else { throw Problem.validation(errors) }
  }

  // MARK: Values without validation

  private func find(_ name: Name) -> Range<Int>? {
    members.first { $0.name.isVerbatim(name.rawValue) }?.value
  }

  private func isPresent(_ name: Name) -> Bool {
    read(name) { $0.first != UInt8(ascii: "n") } ?? false
  }

  /// The text of a string. Nil if the value is no string.
  private func text(_ name: Name) -> String? {
    read(name) { $0.first == UInt8(ascii: "\"") ? JSONSyntax.text(ofString: $0) : nil } ?? nil
  }

  /// The elements of an array of strings. Nil if the value is none.
  private func texts(_ name: Name) -> [String]? {
    let texts = read(name) { value -> [String?]? in
      guard value.first == UInt8(ascii: "[") else { return nil }
      let array = UnsafeRawBufferPointer(rebasing: value)
      return JSONSyntax.elements(ofArray: array).map { range in
        array[range].first == UInt8(ascii: "\"") ? JSONSyntax.text(ofString: array[range]) : nil
      }
    }
    guard let texts = texts.flatMap(\.self), texts.allSatisfy({ $0 != nil }) else { return nil }
    return texts.compactMap(\.self)
  }

  /// Nil if the value is no integer of 64 bits.
  private func integer(_ name: Name) -> Int64? {
    read(name) { value in
      switch value[value.startIndex] {
      case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): Int64(jsonNumber: value)
      default: nil
      }
    } ?? nil
  }

  /// The result of `body` for the bytes of a value. Nil if the member is absent.
  private func read<Value>(_ name: Name, _ body: (Slice<UnsafeRawBufferPointer>) -> Value) -> Value? {
    find(name).map { range in object.withUnsafeReadableBytes { body($0[range]) } }
  }

  private mutating func invalid<Value>(_ name: Name, _ detail: String) -> Value? {
    refuse(name, detail)
    return nil
  }
}

extension String {
  /// The name as a token of a JSON Pointer (RFC 6901, section 3).
  fileprivate var asPointerToken: String {
    var token = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "~": token += "~0"
      case "/": token += "~1"
      default: token.unicodeScalars.append(scalar)
      }
    }
    return token
  }
}

extension Unicode.Scalar {
  /// Whether it is a control or format character, or a line or paragraph separator.
  fileprivate var isInvisible: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
