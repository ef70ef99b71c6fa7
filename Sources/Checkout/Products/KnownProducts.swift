import Synchronization

/// The products that this server has read. They still exist, because products are never deleted.
///
/// A call for an unknown product first looks the product up, in a query that all such calls share. Only then it gets a
/// lane, a connection and locks. So a flood of invented ids costs one query at a time. It takes no memory, because only
/// ids of products are stored.
final class KnownProducts: Sendable {
  private let ids = Mutex<Set<Int32>>([])
  private let read: Batcher<ReadProducts>

  init(read: Batcher<ReadProducts>) {
    self.read = read
  }

  /// Makes a call if its product exists.
  ///
  /// - Parameters:
  ///   - absent: the outcome when the product does not exist.
  ///   - completion: gets `absent`, the error of the look-up, or the result of `call`.
  func call<Outcome: Sendable>(
    _ productID: Int32, absent: Outcome, completion: @escaping Completion<Outcome>,
    _ call: @escaping @Sendable (@escaping Completion<Outcome>) -> Void
  ) {
    if contains(productID) { return call(completion) }
    read.submit(.one(productID)) { [self] result in
      switch result {
      case .success(let found):
        guard !found.isEmpty else { return completion(.success(absent)) }
        insert(productID)
        call(completion)
      case .failure(let error): completion(.failure(error))
      }
    }
  }

  func insert(_ productID: Int32) {
    ids.withLock { _ = $0.insert(productID) }
  }

  func contains(_ productID: Int32) -> Bool {
    ids.withLock { $0.contains(productID) }
  }
}
