import Foundation
import Postgres
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  @Suite struct ExpiryTests {
    /// The number of holds to place, if the machine is fast enough. `FLASHSALE_HOLDS` sets it.
    private static let holds = ProcessInfo.processInfo.environment["FLASHSALE_HOLDS"].flatMap { Int($0) } ?? 3000
    private static let buyers = 200

    /// Long enough to place all holds, and then to read the stock before the first hold lapses.
    private static let timeToLive = Duration.seconds(6 + max(0, holds - 3000) / 1000)
    private static let placingTime = timeToLive - .seconds(3)
    private static let settings = ["HOLD_TTL_SECONDS": "\(timeToLive.components.seconds)"]

    /// The number of active holds that lapsed more than `limit` ago. `now()` is earlier than the statement's snapshot.
    /// The duration of the statement therefore does not count.
    private static func overdueCount(_ limit: Duration, in database: Pool) async throws -> Int64 {
      let milliseconds = Int64(limit / Duration.milliseconds(1))
      return try await database.integer(
        """
        select count(*) from holds
        where status = 'active' and expires_at < now() - \(milliseconds) * interval '1 millisecond'
        """)
    }

    @Test func `holds lapse at the promised millisecond and expire within a second`() async throws {
      try await withDurableDatabase { url in
        try await withServers(2, on: url, settings: Self.settings) { servers in
          let product = try await servers[0].api.createProduct(stock: Self.holds)
          let ledger = try await Ledger(stock: Self.holds, Self.reserveAll(product, at: servers))
          var readsBefore = 0
          var readsAmid = 0
          try await withPool(on: url) { database in
            // The test reads from the servers and from the database in turn until all holds have expired. On a busy
            // machine a worker is as slow as these reads. The limit therefore grows with the slowest round.
            var slowestRound = Duration.zero
            while try await database.integer("select count(*) from holds where status = 'active'") > 0 {
              let roundStart = Moment.now
              for server in servers {
                let asked = now()
                let available = try await server.api.product(product).availableStock
                let range = ledger.available(at: asked)...ledger.available(at: now())
                try #require(range ~= available)
                if asked < ledger.first { readsBefore += 1 } else if range.lowerBound < Self.holds { readsAmid += 1 }
              }
              slowestRound = max(slowestRound, roundStart.duration(to: .now))
              let limit = Duration.seconds(1) + slowestRound * participants
              try #require(try await Self.overdueCount(limit, in: database) == 0)
              #expect(
                try await database.integer("select count(*) from scheduled_jobs where kind <> 'remove_old'") <= ledger
                  .count / 100)
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

    @Test func `a started server expires the holds that lapsed while no server ran`() async throws {
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

    /// Many buyers place holds of one unit at once. They stop at the planned number, or when the time is over.
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

/// Computes the available stock at any moment from the deadlines in the responses.
private struct Ledger {
  private let stock: Int
  /// In microseconds since 1970, in ascending order.
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
    // A binary search for the first hold whose deadline is later. A hold has lapsed from its deadline on.
    var (low, high) = (0, deadlines.count)
    while low < high {
      let middle = (low + high) / 2
      if deadlines[middle] <= moment { low = middle + 1 } else { high = middle }
    }
    return stock - deadlines.count + low
  }
}
