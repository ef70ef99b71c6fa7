import Synchronization

/// Bounds how many callers wait for the database at once, in queues and in batches under way.
///
/// Refusing at once is kinder than accepting what cannot be answered in time: a crowd that is told to come back takes no
/// memory and leaves the database to those who were accepted.
final class Admission: Sendable {
  private let limit: Int
  private let count = Atomic(0)

  init(limit: Int) {
    self.limit = limit
  }

  /// Whether the caller may wait; then it has to `leave`.
  func admit() -> Bool {
    // Counted first: of two who meet at the last place, one gives it back.
    guard count.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
      leave()
      return false
    }
    return true
  }

  func leave() {
    count.wrappingSubtract(1, ordering: .relaxed)
  }
}
