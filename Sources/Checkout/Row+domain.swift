import FoundationEssentials
import Postgres

extension Row {
  /// The next column as the number of a hold or an order.
  mutating func decodeReservationID() throws -> ReservationID {
    try Self.reservationID(try decode(UUID.self))
  }

  /// The next column as an array of such numbers, or nil when the column is null.
  mutating func decodeReservationIDsIfPresent() throws -> [ReservationID]? {
    try decodeIfPresent([UUID].self)?.map { try Self.reservationID($0) }
  }

  private static func reservationID(_ uuid: UUID) throws -> ReservationID {
    guard let id = ReservationID(uuid) else { throw UnknownValue(description: "\(uuid) is no reservation's number") }
    return id
  }

  /// The next column as one of the words of an enumeration.
  mutating func decodeCase<Value: RawRepresentable<String>>(_ type: Value.Type = Value.self) throws -> Value {
    try Self.word(try decode(String.self))
  }

  /// The same, or nil when the column is null.
  mutating func decodeCaseIfPresent<Value: RawRepresentable<String>>(_ type: Value.Type = Value.self) throws -> Value? {
    try decodeIfPresent(String.self).map { try Self.word($0) }
  }

  /// The next column as an array of such words.
  mutating func decodeCases<Value: RawRepresentable<String>>(_ type: Value.Type = Value.self) throws -> [Value] {
    try decode([String].self).map { try Self.word($0) }
  }

  private static func word<Value: RawRepresentable<String>>(_ word: String) throws -> Value {
    guard let value = Value(rawValue: word) else { throw UnknownValue(description: "\(word) is no \(Value.self)") }
    return value
  }
}

/// The database holds something that this program has no name for: its schema is of another version.
struct UnknownValue: Error, CustomStringConvertible {
  let description: String
}
