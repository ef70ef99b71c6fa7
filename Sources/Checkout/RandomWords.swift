import Glibc
import Synchronization

/// Random numbers that cannot be guessed.
///
/// They come from the kernel's generator. One system call serves many callers: a call for each caller took 3 % of the
/// time of a hold.
package final class RandomWords: Sendable {
  /// The number of words of one system call. The kernel returns at most 256 bytes (getentropy(3)).
  private static let capacity = 32

  private struct State {
    var words = [UInt64](repeating: 0, count: capacity)
    var used = capacity

    mutating func next() -> UInt64 {
      if used == capacity {
        words.withUnsafeMutableBytes(RandomWords.fill)
        used = 0
      }
      defer { used += 1 }
      return words[used]
    }
  }

  private let state = Mutex(State())

  package init() {}

  package func next() -> UInt64 { state.withLock { $0.next() } }

  package func nextTwo() -> (UInt64, UInt64) { state.withLock { ($0.next(), $0.next()) } }

  private static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    // The server must not use numbers that can be guessed, so it stops.
    precondition(getentropy(buffer.baseAddress, buffer.count) == 0, "the kernel's random generator failed: \(errno)")
  }
}
