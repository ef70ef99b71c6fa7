import FoundationEssentials

/// A type whose values can be parameters of a statement.
package protocol PostgresEncodable: Sendable {
  /// The object id of the PostgreSQL type (`pg_type.oid`). An array has it before its elements.
  static var postgresType: UInt32 { get }
  var isNull: Bool { get }
  /// Appends the value in PostgreSQL's binary format.
  func encode(into bytes: inout [UInt8])
}

/// A type whose values can be read from a column.
package protocol PostgresDecodable: Sendable {
  /// The object ids (`pg_type.oid`) of the PostgreSQL types that `decode` reads.
  static var readableTypes: [UInt32] { get }
  /// Decodes a value in binary format. Nil when `bytes` are not exactly such a value.
  static func decode(_ bytes: UnsafeRawBufferPointer) -> Self?
}

extension PostgresEncodable {
  package var isNull: Bool { false }
}

/// Object ids from PostgreSQL's `pg_type.dat`. They do not change between versions.
enum TypeID {
  static let bool: UInt32 = 16
  static let bytea: UInt32 = 17
  static let int8: UInt32 = 20
  static let int4: UInt32 = 23
  static let text: UInt32 = 25
  static let float8: UInt32 = 701
  static let varchar: UInt32 = 1043
  static let timestamptz: UInt32 = 1184
  static let uuid: UInt32 = 2950

  static let arrayOf: [UInt32: UInt32] = [
    bool: 1000, int8: 1016, int4: 1007, text: 1009, varchar: 1015, timestamptz: 1185, uuid: 2951,
  ]
}

extension Bool: PostgresEncodable, PostgresDecodable {
  package static var postgresType: UInt32 { TypeID.bool }
  package static var readableTypes: [UInt32] { [TypeID.bool] }

  package func encode(into bytes: inout [UInt8]) {
    bytes.append(self ? 1 : 0)
  }

  package static func decode(_ bytes: UnsafeRawBufferPointer) -> Bool? {
    bytes.count == 1 ? bytes[0] != 0 : nil
  }
}

extension FixedWidthInteger {
  func encodeBigEndian(into bytes: inout [UInt8]) {
    withUnsafeBytes(of: bigEndian) { bytes.append(contentsOf: $0) }
  }

  init?(bigEndianBytes bytes: UnsafeRawBufferPointer) {
    guard bytes.count == MemoryLayout<Self>.size else { return nil }
    self.init(bigEndian: bytes.loadUnaligned(as: Self.self))
  }
}

extension Int32: PostgresEncodable, PostgresDecodable {
  package static var postgresType: UInt32 { TypeID.int4 }
  package static var readableTypes: [UInt32] { [TypeID.int4] }
  package func encode(into bytes: inout [UInt8]) { encodeBigEndian(into: &bytes) }
  package static func decode(_ bytes: UnsafeRawBufferPointer) -> Int32? { Int32(bigEndianBytes: bytes) }
}

extension Int64: PostgresEncodable, PostgresDecodable {
  package static var postgresType: UInt32 { TypeID.int8 }
  package static var readableTypes: [UInt32] { [TypeID.int8] }
  package func encode(into bytes: inout [UInt8]) { encodeBigEndian(into: &bytes) }
  package static func decode(_ bytes: UnsafeRawBufferPointer) -> Int64? { Int64(bigEndianBytes: bytes) }
}

extension Double: PostgresDecodable {
  package static var readableTypes: [UInt32] { [TypeID.float8] }
  package static func decode(_ bytes: UnsafeRawBufferPointer) -> Double? {
    UInt64(bigEndianBytes: bytes).map { Double(bitPattern: $0) }
  }
}

extension String: PostgresEncodable, PostgresDecodable {
  package static var postgresType: UInt32 { TypeID.text }
  package static var readableTypes: [UInt32] { [TypeID.text, TypeID.varchar] }
  package func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }
  package static func decode(_ bytes: UnsafeRawBufferPointer) -> String? { String(validating: bytes, as: UTF8.self) }
}

extension UUID: PostgresEncodable, PostgresDecodable {
  package static var postgresType: UInt32 { TypeID.uuid }
  package static var readableTypes: [UInt32] { [TypeID.uuid] }

  package func encode(into bytes: inout [UInt8]) {
    withUnsafeBytes(of: uuid) { bytes.append(contentsOf: $0) }
  }

  package static func decode(_ bytes: UnsafeRawBufferPointer) -> UUID? {
    guard bytes.count == MemoryLayout<uuid_t>.size else { return nil }
    return UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
  }
}

/// A `bytea`.
extension Data: PostgresEncodable {
  package static var postgresType: UInt32 { TypeID.bytea }
  package func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: self) }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
  package static var postgresType: UInt32 { Wrapped.postgresType }
  package var isNull: Bool { self == nil }
  package func encode(into bytes: inout [UInt8]) { self?.encode(into: &bytes) }
}
