extension [UInt8] {
  /// Changes, inserts, removes or moves one byte, as the random word says.
  mutating func change(with word: UInt64) {
    let index = Int(word >> 32) % Swift.max(1, count)
    // Printable, so that most changes look like real input.
    let byte = UInt8(0x20 + (word >> 16) % 0x5F)
    switch word % 5 {
    case 0: insert(byte, at: index)
    case 1 where !isEmpty: remove(at: index)
    case 2 where !isEmpty: self[index] ^= 1 << UInt8((word >> 8) % 7)
    case 3 where !isEmpty: swapAt(index, Int(word >> 8) % count)
    case _ where !isEmpty: self[index] = byte
    default: append(byte)
    }
  }
}
