import Testing

/// Tests of the built executable. It runs in processes of its own, and the tests call it over HTTP.
///
/// Most of these tests wait for times to live, and would delay each other on a busy machine. So few of them run at once.
/// The time limit includes the wait for a place.
@Suite(.atMostAtOnce(3), .timeLimit(.minutes(10))) struct FlashSaleTests {}

/// Lets only some tests of a suite run at once.
struct Places: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true
  private let places: Pool

  fileprivate init(_ count: Int) { places = Pool(free: count) }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
  ) async throws {
    await places.take()
    do {
      try await body()
    } catch {
      await places.giveBack()
      throw error
    }
    await places.giveBack()
  }

  private actor Pool {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(free: Int) { self.free = free }

    func take() async {
      guard free == 0 else {
        free -= 1
        return
      }
      await withCheckedContinuation { waiting.append($0) }
    }

    /// The first waiter gets the place.
    func giveBack() {
      if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
  }
}

extension Trait where Self == Places {
  /// - Parameter count: at least 1.
  fileprivate static func atMostAtOnce(_ count: Int) -> Self { Places(count) }
}
