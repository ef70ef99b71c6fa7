import FoundationEssentials

/// The id of a hold, and of the order made from the hold.
///
/// It is a UUID of version 8 (RFC 9562, section 5.8). It has 32 bits of the product, 32 bits of the Unix second and 58
/// random bits. So the id says its product without a look-up, and no id can be guessed. New ids of a product are
/// neighbours in the index.
///
///     bits 0-31    product
///     bits 32-47   seconds, upper 16 bits
///     bits 48-51   version, 8
///     bits 52-63   seconds, next 12 bits
///     bits 64-65   variant, binary 10
///     bits 66-69   seconds, last 4 bits
///     bits 70-127  random
package struct ReservationID: Hashable, Sendable {
  private let high: UInt64
  private let low: UInt64

  private static let randomMask: UInt64 = (1 << 58) - 1

  /// - Parameters:
  ///   - productID: positive.
  ///   - random: its lower 58 bits are used.
  init(productID: Int32, unixSecond: UInt32, random: UInt64) {
    precondition(productID > 0)
    let seconds = UInt64(unixSecond)
    high = UInt64(productID) << 32 | (seconds >> 16) << 16 | 0x8000 | (seconds >> 4) & 0xFFF
    low = 0b10 << 62 | (seconds & 0xF) << 58 | random & Self.randomMask
  }

  /// Nil when the UUID does not have this layout.
  init?(_ uuid: UUID) {
    let (high, low) = withUnsafeBytes(of: uuid.uuid) { bytes in
      (
        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
    self.init(high: high, low: low)
  }

  private init?(high: UInt64, low: UInt64) {
    guard high >> 12 & 0xF == 8, low >> 62 == 0b10, Int32(bitPattern: UInt32(high >> 32)) > 0 else { return nil }
    self.high = high
    self.low = low
  }

  package var productID: Int32 { Int32(high >> 32) }

  /// The Unix second in which the hold was made, by the clock of the server that made it.
  package var unixSecond: Int64 {
    Int64(high >> 16 & 0xFFFF) << 16 | Int64(high & 0xFFF) << 4 | Int64(low >> 58 & 0xF)
  }

  var uuid: UUID {
    let bytes = (high.bigEndian, low.bigEndian)
    return withUnsafeBytes(of: bytes) { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
  }

  // MARK: Text

  /// The hold's id for clients: `hold_` and 32 lower-case hexadecimal digits.
  package var holdText: String { text(prefix: "hold_") }

  /// The order's id for clients: `order_` and the same digits.
  package var orderText: String { text(prefix: "order_") }

  /// Nil when the text is no id of a hold.
  package init?(holdText: String) {
    self.init(holdText, prefix: "hold_")
  }

  /// Nil when the text is no id of an order.
  package init?(orderText: String) {
    self.init(orderText, prefix: "order_")
  }

  private init?(_ text: String, prefix: String) {
    guard text.utf8.starts(with: prefix.utf8) else { return nil }
    let digits = text.utf8.dropFirst(prefix.utf8.count)
    guard digits.count == 32 else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    for digit in digits {
      let value: UInt8
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
      default: return nil
      }
      words = (words.0 << 4 | words.1 >> 60, words.1 << 4 | UInt64(value))
    }
    self.init(high: words.0, low: words.1)
  }

  private func text(prefix: String) -> String {
    let length = prefix.utf8.count
    return String(unsafeUninitializedCapacity: length + 32) { buffer in
      _ = buffer.update(fromContentsOf: prefix.utf8)
      for index in 0..<16 {
        let shift = UInt64(60 - 4 * index)
        buffer[length + index] = Self.hexadecimal(high >> shift)
        buffer[length + 16 + index] = Self.hexadecimal(low >> shift)
      }
      return length + 32
    }
  }

  private static func hexadecimal(_ value: UInt64) -> UInt8 {
    let digit = UInt8(truncatingIfNeeded: value & 0xF)
    return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
  }
}
