import Checkout
import Postgres

/// Reads the members of a JSON object and remembers everything that is wrong with them, so that a client learns all of
/// it at once.
struct MemberReader<Key: CodingKey> {
  private let container: KeyedDecodingContainer<Key>
  private var errors: [Problem.InvalidMember] = []

  /// - Throws: `DecodingError` when the value is not an object.
  init(_ decoder: any Decoder, keyedBy: Key.Type) throws {
    container = try decoder.container(keyedBy: Key.self)
  }

  func contains(_ key: Key) -> Bool { container.contains(key) }

  /// An integer between 1 and 2^31 - 1.
  mutating func positiveInteger(_ key: Key) -> Int32? {
    guard isPresent(key) else { return invalid(key, "is required") }
    guard let value = try? container.decode(Int32.self, forKey: key), value >= 1 else {
      return invalid(key, "must be an integer from 1 to \(Int32.max)")
    }
    return value
  }

  /// A string of 1 to `maximumLength` Unicode scalars, none of them U+0000, which PostgreSQL cannot keep.
  mutating func string(_ key: Key, maximumLength: Int) -> String? {
    guard isPresent(key) else { return invalid(key, "is required") }
    guard let value = try? container.decode(String.self, forKey: key) else { return invalid(key, "must be a string") }
    guard 1...maximumLength ~= value.unicodeScalars.count else {
      return invalid(key, "must have 1 to \(maximumLength) characters")
    }
    guard !value.unicodeScalars.contains("\0") else { return invalid(key, "must not contain U+0000") }
    return value
  }

  /// One of the words of an enumeration.
  mutating func word<Value: RawRepresentable<String> & CaseIterable>(
    _ key: Key, _ type: Value.Type = Value.self
  ) -> Value? {
    guard isPresent(key) else { return invalid(key, "is required") }
    guard let text = try? container.decode(String.self, forKey: key), let value = Value(rawValue: text) else {
      return invalid(key, "must be one of: \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return value
  }

  /// An ISO 4217 code: three capital letters.
  mutating func currency(_ key: Key) -> String? {
    guard isPresent(key) else { return invalid(key, "is required") }
    guard let value = try? container.decode(String.self, forKey: key), value.utf8.count == 3,
      value.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 })
    else {
      return invalid(key, "must be three capital letters (ISO 4217)")
    }
    return value
  }

  /// An integer of 32 bits that is not 0.
  mutating func difference(_ key: Key) -> Int32? {
    guard isPresent(key) else { return invalid(key, "is required") }
    guard let value = try? container.decode(Int32.self, forKey: key), value != 0, value != .min else {
      return invalid(key, "must be an integer from \(-Int32.max) to \(Int32.max), not 0")
    }
    return value
  }

  /// A moment (RFC 3339).
  mutating func timestamp(_ key: Key) -> Timestamp? {
    guard let text = try? container.decode(String.self, forKey: key), let value = Timestamp(rfc3339: text) else {
      return invalid(key, "must be a time such as 2026-11-27T09:00:00Z (RFC 3339)")
    }
    return value
  }

  /// What a merge patch (RFC 7396) says of a member: absent leaves it, null takes it away.
  mutating func change<Value>(_ key: Key, _ read: (inout Self, Key) -> Value?) -> UpdateProduct.Change<Value> {
    container.contains(key) ? .set(ifPresent(key, read)) : .unchanged
  }

  /// Adds an error that no single member shows.
  mutating func refuse(_ key: Key, _ detail: String) {
    errors.append(Problem.InvalidMember(pointer: "/" + key.stringValue, detail: detail))
  }

  /// The value that `read` finds, or nil when the member is absent or null.
  mutating func ifPresent<Value>(_ key: Key, _ read: (inout Self, Key) -> Value?) -> Value? {
    isPresent(key) ? read(&self, key) : nil
  }

  /// An integer that is not negative.
  mutating func amount(_ key: Key) -> Int64? {
    guard let value = try? container.decode(Int64.self, forKey: key), value >= 0 else {
      return invalid(key, "must be an integer, at least 0")
    }
    return value
  }

  /// The values, if none was missing or wrong.
  ///
  /// Mutating, so that it sees what went wrong in its own arguments: for a method that only reads, `self` would be copied
  /// before a call such as `require(members.string(…))` has read the member.
  ///
  /// - Throws: `Problem.validation` with every error found.
  mutating func require<each Value>(_ values: repeat (each Value)?) throws -> (repeat each Value) {
    try requireValid()
    func unwrapped<Wrapped>(_ value: Wrapped?) -> Wrapped {
      guard let value else { preconditionFailure("a missing value leaves an error") }
      return value
    }
    return (repeat unwrapped(each values))
  }

  /// - Throws: `Problem.validation` with every error found.
  func requireValid() throws {
    guard errors.isEmpty else { throw Problem.validation(errors) }
  }

  private func isPresent(_ key: Key) -> Bool {
    container.contains(key) && (try? container.decodeNil(forKey: key)) != true
  }

  private mutating func invalid<Value>(_ key: Key, _ detail: String) -> Value? {
    refuse(key, detail)
    return nil
  }
}
