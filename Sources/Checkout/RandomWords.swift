import Glibc
import Synchronization

/// Random bits that cannot be guessed.
///
/// They come from the kernel's generator, fetched for many callers at a time: a system call for each caller took 3 % of the
/// time of a hold.
package final class RandomWords: Sendable {
  /// Words served by one call to the kernel, which hands out at most 256 bytes (getentropy(3)).
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
    // Numbers that could be guessed are worse than no server.
    precondition(getentropy(buffer.baseAddress, buffer.count) == 0, "the kernel's random generator failed: \(errno)")
  }
}
