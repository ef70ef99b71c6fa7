import Synchronization

/// Products that this server has seen, which therefore exist: products are never deleted.
///
/// A call for another product first takes part in a read that all such calls share, before it gets a lane, a connection
/// or a lock of its own. So a flood of made-up ids costs one query at a time, and takes no memory: only ids of products
/// are kept.
final class KnownProducts: Sendable {
  private let ids = Mutex<Set<Int32>>([])
  private let read: Batcher<ReadProducts>

  init(read: Batcher<ReadProducts>) {
    self.read = read
  }

  /// Makes a call for a product if that exists.
  ///
  /// - Parameters:
  ///   - absent: the outcome when there is no such product.
  ///   - completion: gets that, or why nobody knows; otherwise it is handed to `call`.
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
