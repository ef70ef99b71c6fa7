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

  func execute(_ requests: [UseCase.Request], lane productID: Int32) async throws -> [UseCase.Outcome] {
    let outcomes = try await useCase.execute(requests, lane: productID)
    if outcomes.contains(where: changesStock) { feed.announce(productID) }
    return outcomes
  }
}
