import Foundation
import Postgres
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  @Suite struct ExpiryTests {
    /// Holds that are placed, as far as the machine is fast enough. FLASHSALE_HOLDS=20000 is a sale of note.
    private static let holds = ProcessInfo.processInfo.environment["FLASHSALE_HOLDS"].flatMap { Int($0) } ?? 3000
    private static let buyers = 200

    /// Leaves time to place them all, and then to look at the stock before the first one lapses.
    private static let timeToLive = Duration.seconds(6 + max(0, holds - 3000) / 1000)
    private static let placingTime = timeToLive - .seconds(3)
    private static let settings = ["HOLD_TTL_SECONDS": "\(timeToLive.components.seconds)"]

    /// Overdue by more than a second. `now()` is earlier than the statement's snapshot, so that what this counts is not
    /// owed to the time it takes.
    private static let overdue = "from holds where status = 'active' and expires_at < now() - interval '1 second'"

    @Test func manyHoldsLapseToTheMillisecondAndAreReleasedWithinASecond() async throws {
      try await withDurableDatabase { url in
        try await withServers(2, on: url, settings: Self.settings) { servers in
          let product = try await servers[0].api.createProduct(stock: Self.holds)
          let ledger = try await Ledger(stock: Self.holds, Self.reserveAll(product, at: servers))
          var readsBefore = 0
          var readsAmid = 0
          try await withPool(on: url) { database in
            // Reads and the database are watched in turn until everything is released.
            while try await database.integer("select count(*) from holds where status = 'active'") > 0 {
              for server in servers {
                let asked = now()
                let available = try await server.api.product(product).availableStock
                let range = ledger.available(at: asked)...ledger.available(at: now())
                try #require(range ~= available)
                if asked < ledger.first { readsBefore += 1 } else if range.lowerBound < Self.holds { readsAmid += 1 }
              }
              try #require(try await database.integer("select count(*) \(Self.overdue)") == 0)
              #expect(
                try await database.integer("select count(*) from scheduled_jobs where kind <> 'remove_old'") <= ledger
                  .count / 100)
              try #require(now() < ledger.last + 1_000_000)
            }
            let released = try await database.integer("select count(*) from holds where status = 'expired'")
            #expect(released == ledger.count)
          }
          #expect(readsBefore > 0 && readsAmid > 0, "\(readsBefore) reads before, \(readsAmid) amid")
          for server in servers { #expect(try await server.api.product(product).availableStock == Self.holds) }
          try await expectCleanAudit(url)
        }
      }
    }

    @Test func holdsThatLapseWhileNoServerRunsAreReleasedOnceOneDoes() async throws {
      try await withDurableDatabase { url in
        try await withServers(2, on: url, settings: Self.settings) { servers in
          let product = try await servers[0].api.createProduct(stock: Self.holds)
          let ledger = try await Ledger(stock: Self.holds, Self.reserveAll(product, at: servers))
          try await onAll(servers) { try await $0.end(with: .kill) }
          try #require(now() < ledger.first, "the servers are killed before the first deadline")
          try await sleep(until: ledger.last)
          let (active, available) = try await withPool(on: url) { database in
            (
              try await database.integer("select count(*) from holds where status = 'active'"),
              try await database.integer("select available_stock from products")
            )
          }
          #expect(active == ledger.count && available == Self.holds - ledger.count)

          try await servers[0].start()
          let firstRead = try await servers[0].api.product(product)
          #expect(firstRead.availableStock == Self.holds)
          try await withPool(on: url) { database in
            try await eventually("the backlog is gone", within: .seconds(2)) {
              try await database.integer("select count(*) from holds where status = 'active'") == 0
            }
          }
          try await expectCleanAudit(url)
        }
      }
    }

    /// One unit for each hold, by many buyers at once, who stop when there are enough or the time is over.
    private static func reserveAll(_ product: Int, at servers: [ServerProcess]) async throws -> [APIClient.Hold] {
      let end = Moment.now + placingTime
      return try await withThrowingTaskGroup(of: [APIClient.Hold].self) { group in
        for buyer in 0..<buyers {
          let api = servers[buyer % servers.count].api
          group.addTask {
            var holds: [APIClient.Hold] = []
            for _ in stride(from: buyer, to: Self.holds, by: buyers) where .now < end {
              let answer = try await api.reserve(1, of: product)
              try #require(answer.status == 201, "\(answer)")
              holds.append(try answer.decode())
            }
            return holds
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
    }
  }
}

/// What must be available at any moment, by the deadlines that buyers were told.
private struct Ledger {
  private let stock: Int
  /// In order.
  private let deadlines: [Int64]

  init(stock: Int, _ holds: [APIClient.Hold]) throws {
    precondition(holds.allSatisfy { $0.quantity == 1 })
    self.stock = stock
    deadlines = try holds.map { try $0.expiry() }.sorted()
  }

  var count: Int { deadlines.count }
  var first: Int64 { deadlines[0] }
  var last: Int64 { deadlines[deadlines.count - 1] }

  func available(at moment: Int64) -> Int {
    // A hold has lapsed from the moment of its deadline on.
    var (low, high) = (0, deadlines.count)
    while low < high {
      let middle = (low + high) / 2
      if deadlines[middle] <= moment { low = middle + 1 } else { high = middle }
    }
    return stock - deadlines.count + low
  }
}
