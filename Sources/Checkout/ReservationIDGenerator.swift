import Glibc

/// Makes ids of holds that cannot be guessed.
final class ReservationIDGenerator: Sendable {
  private let words = RandomWords()

  /// - Parameter productID: positive.
  func next(productID: Int32) -> ReservationID {
    ReservationID(productID: productID, unixSecond: UInt32(truncatingIfNeeded: time(nil)), random: words.next())
  }
}
