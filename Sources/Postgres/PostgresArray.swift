/// One-dimensional arrays in the binary format of `array_send` and `array_recv` (PostgreSQL source, arrayfuncs.c).
///
/// The number of dimensions, a null flag and the element type come first. The length and the lower bound of the
/// dimension follow. Each element comes after its length, which is -1 for null.
extension Array: PostgresEncodable where Element: PostgresEncodable {
  package static var postgresType: UInt32 {
    guard let type = TypeID.arrayOf[Element.postgresType] else {
      preconditionFailure("PostgreSQL has no arrays of arrays: \(Element.self)")
    }
    return type
  }

  package func encode(into bytes: inout [UInt8]) {
    Int32(isEmpty ? 0 : 1).encodeBigEndian(into: &bytes)
    let nullFlagAt = bytes.count + 3  // the last byte of the flag
    Int32(0).encodeBigEndian(into: &bytes)
    Element.postgresType.encodeBigEndian(into: &bytes)
    guard !isEmpty else { return }
    Int32(count).encodeBigEndian(into: &bytes)
    Int32(1).encodeBigEndian(into: &bytes)
    for element in self {
      let lengthAt = bytes.count
      Int32(-1).encodeBigEndian(into: &bytes)
      if element.isNull {
        bytes[nullFlagAt] = 1
        continue
      }
      element.encode(into: &bytes)
      let length = Int32(bytes.count - lengthAt - MemoryLayout<Int32>.size)
      Swift.withUnsafeBytes(of: length.bigEndian) { length in
        bytes.replaceSubrange(lengthAt..<lengthAt + length.count, with: length)
      }
    }
  }
}

/// Arrays without nulls. An array with a null does not decode.
extension Array: PostgresDecodable where Element: PostgresDecodable {
  package static var readableTypes: [UInt32] { Element.readableTypes.compactMap { TypeID.arrayOf[$0] } }

  package static func decode(_ bytes: UnsafeRawBufferPointer) -> [Element]? {
    var rest = bytes[...]
    func next() -> Int32? {
      guard let value = Int32(bigEndianBytes: UnsafeRawBufferPointer(rebasing: rest.prefix(4))) else { return nil }
      rest = rest.dropFirst(4)
      return value
    }
    guard let dimensions = next(), next() != nil, let element = next() else { return nil }
    guard Element.readableTypes.contains(UInt32(bitPattern: element)) else { return nil }
    if dimensions == 0 { return [] }
    guard dimensions == 1, let count = next(), count >= 0, next() != nil else { return nil }
    var values: [Element] = []
    values.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let length = next().map(Int.init), length >= 0, length <= rest.count else { return nil }
      guard let value = Element.decode(UnsafeRawBufferPointer(rebasing: rest.prefix(length))) else { return nil }
      values.append(value)
      rest = rest.dropFirst(length)
    }
    return rest.isEmpty ? values : nil
  }
}
