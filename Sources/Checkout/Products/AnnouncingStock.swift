import Postgres

/// A use case whose effect on the stock of a product is announced after its commit.
struct AnnouncingStock<UseCase: BatchedUseCase>: BatchedUseCase where UseCase.Lane == Int32 {
  private let useCase: UseCase
  private let feed: StockFeed
  private let changesStock: @Sendable (UseCase.Outcome) -> Bool

  init(_ useCase: UseCase, to feed: StockFeed, when changesStock: @escaping @Sendable (UseCase.Outcome) -> Bool) {
    self.useCase = useCase
    self.feed = feed
    self.changesStock = changesStock
  }

  func lane(of request: UseCase.Request) -> Int32 { useCase.lane(of: request) }

  func mark(for requests: [UseCase.Request], lane productID: Int32) -> UseCase.Mark {
    useCase.mark(for: requests, lane: productID)
  }

  func execute(
    _ requests: [UseCase.Request], lane productID: Int32, mark: UseCase.Mark, on connection: isolated Connection
  ) throws -> [UseCase.Outcome?] {
    let outcomes = try useCase.execute(requests, lane: productID, mark: mark, on: connection)
    announce(productID, outcomes)
    return outcomes
  }

  func resume(
    _ requests: [UseCase.Request], lane productID: Int32, mark: UseCase.Mark, on connection: isolated Connection
  ) throws -> [UseCase.Outcome?] {
    // What changed, changed when nobody heard of it.
    defer { feed.announce(productID) }
    return try useCase.resume(requests, lane: productID, mark: mark, on: connection)
  }

  static var maximumLanes: Int { UseCase.maximumLanes }

  func executeTogether(
    _ batches: [LaneBatch<Int32, UseCase.Request, UseCase.Mark>], on connection: isolated Connection
  ) throws -> [[UseCase.Outcome?]] {
    let outcomes = try useCase.executeTogether(batches, on: connection)
    for (batch, outcomes) in zip(batches, outcomes) { announce(batch.lane, outcomes) }
    return outcomes
  }

  private func announce(_ productID: Int32, _ outcomes: [UseCase.Outcome?]) {
    if outcomes.contains(where: { $0.map(changesStock) ?? false }) { feed.announce(productID) }
  }
}
