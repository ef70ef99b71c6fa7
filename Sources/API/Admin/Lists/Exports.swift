import Synchronization

/// The exports that run on this server.
///
/// Each export uses a connection of the database while it reads a page. There are few, so that sales keep their connections.
final class Exports: Sendable {
  /// Two of the eight connections that a server has by default.
  static let maximumCount = 2

  private let places = Places(maximumCount: Exports.maximumCount)

  /// - Throws: `Problem.overloaded` if the maximum number of exports runs.
  func begin() throws -> Place {
    guard let place = places.take() else { throw Problem.tooManyExports }
    return Place(place)
  }

  /// The place of one export. Releasing the last reference frees it. So a HEAD request frees it, too: its response drops the
  /// body, which has the reference.
  final class Place: Sendable {
    private let place: Places.Place
    private let stopped = Atomic(false)

    fileprivate init(_ place: Places.Place) { self.place = place }

    /// Whether the client is gone.
    var isStopped: Bool { stopped.load(ordering: .relaxed) }

    func stop() { stopped.store(true, ordering: .relaxed) }
  }
}
