import Synchronization

/// Limits the number of requests that wait for the database, in lanes and in batches under way.
///
/// A request that would get no outcome in time is refused at once. A refused request takes no memory and no database
/// time.
final class Admission: Sendable {
  private let limit: Int
  private let count = Atomic(0)

  init(limit: Int) {
    self.limit = limit
  }

  /// The requests that wait.
  var waitingCount: Int { count.load(ordering: .relaxed) }

  /// Whether the request may wait. An admitted request must `leave`.
  func admit() -> Bool {
    // Count first, then compare. If two requests compared before they counted, both could take the last place.
    guard count.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
      leave()
      return false
    }
    return true
  }

  /// Call it once for each admitted request.
  func leave() {
    count.wrappingSubtract(1, ordering: .relaxed)
  }
}
