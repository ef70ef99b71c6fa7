import FoundationEssentials
import Postgres

extension Row {
  /// Decodes the next column as the id of a hold or an order.
  mutating func decodeReservationID() throws -> ReservationID {
    try Self.reservationID(try decode(UUID.self))
  }

  /// Decodes the next column as an array of such ids. Nil when the column is null.
  mutating func decodeReservationIDsIfPresent() throws -> [ReservationID]? {
    try decodeIfPresent([UUID].self)?.map { try Self.reservationID($0) }
  }

  private static func reservationID(_ uuid: UUID) throws -> ReservationID {
    guard let id = ReservationID(uuid) else { throw UnknownValue(description: "\(uuid) is no id of a hold or order") }
    return id
  }

  /// Decodes the next column as a case of an enumeration.
  mutating func decodeCase<Value: RawRepresentable<String>>(_ type: Value.Type = Value.self) throws -> Value {
    try Self.word(try decode(String.self))
  }

  /// As `decodeCase`. Nil when the column is null.
  mutating func decodeCaseIfPresent<Value: RawRepresentable<String>>(_ type: Value.Type = Value.self) throws -> Value? {
    try decodeIfPresent(String.self).map { try Self.word($0) }
  }

  /// Decodes the next column as an array of cases of an enumeration.
  mutating func decodeCases<Value: RawRepresentable<String>>(_ type: Value.Type = Value.self) throws -> [Value] {
    try decode([String].self).map { try Self.word($0) }
  }

  /// Decodes the next column as metadata. Nil when the column is null.
  mutating func decodeMetadataIfPresent() throws -> Metadata? {
    try decodeIfPresent(String.self).map { Metadata(json: $0) }
  }

  private static func word<Value: RawRepresentable<String>>(_ word: String) throws -> Value {
    guard let value = Value(rawValue: word) else { throw UnknownValue(description: "\(word) is no \(Value.self)") }
    return value
  }
}

/// The database returned a value that this program does not know: the schema has another version.
struct UnknownValue: Error, CustomStringConvertible {
  let description: String
}
