import Synchronization

/// A number of places for work that needs much memory or many connections of the database.
final class Places: Sendable {
  private let maximumCount: Int
  private let count = Mutex(0)

  init(maximumCount: Int) { self.maximumCount = maximumCount }

  /// Nil if all places are taken.
  func take() -> Place? {
    let isFree = count.withLock { count in
      guard count < maximumCount else { return false }
      count += 1
      return true
    }
    return isFree ? Place(self) : nil
  }

  /// A taken place. Releasing the last reference frees it, so no error and no lost connection keeps it.
  final class Place: Sendable {
    private let places: Places

    fileprivate init(_ places: Places) { self.places = places }

    deinit { places.count.withLock { $0 -= 1 } }
  }
}
