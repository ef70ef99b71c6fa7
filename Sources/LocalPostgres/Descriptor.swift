import Glibc
import Synchronization

/// A file descriptor with an owner: closed once, at the latest when nothing refers to it any more.
final class Descriptor: Sendable {
  private let number: Mutex<Int32?>

  init(_ number: Int32) {
    self.number = Mutex(number)
  }

  deinit { close() }

  /// Nil once closed.
  var raw: Int32? { number.withLock { $0 } }

  func close() {
    number.withLock { number in
      if let open = number { Glibc.close(open) }
      number = nil
    }
  }
}
