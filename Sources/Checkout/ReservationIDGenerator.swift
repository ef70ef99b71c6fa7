import Glibc
import Synchronization

/// Makes reservation numbers that cannot be guessed.
///
/// Their random bits come from the kernel's generator, fetched for many numbers at a time: a system call for each one
/// took 3 % of the time of a hold.
final class ReservationIDGenerator: Sendable {
  /// Numbers served by one call to the kernel, which hands out at most 256 bytes (getentropy(3)).
  private static let capacity = 32

  private struct State {
    var words = [UInt64](repeating: 0, count: capacity)
    var used = capacity
  }

  private let state = Mutex(State())

  /// - Parameter productID: positive.
  func next(productID: Int32) -> ReservationID {
    let random = state.withLock { state in
      if state.used == Self.capacity {
        state.words.withUnsafeMutableBytes(Self.fill)
        state.used = 0
      }
      defer { state.used += 1 }
      return state.words[state.used]
    }
    return ReservationID(productID: productID, unixSecond: UInt32(truncatingIfNeeded: time(nil)), random: random)
  }

  private static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    // Numbers that could be guessed are worse than no server.
    precondition(getentropy(buffer.baseAddress, buffer.count) == 0, "the kernel's random generator failed: \(errno)")
  }
}
