import Synchronization
import TestSupport
import Testing

/// The responses to the buyers of one sale.
private final class Sale: Sendable {
  private let holds = Mutex<[APIClient.Hold]>([])
  private let unexpected = Mutex<[String]>([])

  var granted: [APIClient.Hold] { holds.withLock { $0 } }
  var unitsGranted: Int { holds.withLock { $0.reduce(0) { $0 + $1.quantity } } }
  var unexpectedAnswers: [String] { unexpected.withLock { $0 } }

  /// Sends one request of a buyer. After a refusal the buyer wants one unit less.
  ///
  /// - Returns: the quantity of the buyer's next request; 0 if no unit is left.
  func ask(for quantity: Int, of product: Int, at server: ServerProcess) async throws -> Int {
    let answer = try await server.api.reserve(quantity, of: product)
    switch answer.status {
    case 201:
      let hold = try answer.decode(APIClient.Hold.self)
      holds.withLock { $0.append(hold) }
      return quantity
    case 409 where answer.problem == "insufficient-stock":
      return quantity - 1
    default:
      unexpected.withLock { $0.append("\(answer)") }
      return quantity - 1
    }
  }
}

extension FlashSaleTests {
  @Suite struct SaleTests {
    private static let buyers = 400
    private static let stock = 500

    /// The quantity of the buyer's first request.
    private static func firstQuantity(_ buyer: Int) -> Int { 1 + buyer % 7 }

    /// The units in active holds and the ids of all holds, from the database.
    private static func heldUnits(_ url: String) async throws -> (units: Int, ids: Set<String>) {
      try await withPool(on: url) { database in
        let units = try await database.integer("select sum(quantity) from holds where status = 'active'")
        return (Int(units), try await database.holdIDs())
      }
    }

    @Test(.database) func `a crowd on two servers holds exactly the stock`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: Self.stock)
        let sale = Sale()
        try await withThrowingDiscardingTaskGroup { group in
          for buyer in 0..<Self.buyers {
            group.addTask {
              var quantity = Self.firstQuantity(buyer)
              while quantity > 0 {
                quantity = try await sale.ask(for: quantity, of: product, at: servers[buyer % 2])
              }
            }
          }
        }
        #expect(sale.unexpectedAnswers == [])
        #expect(sale.unitsGranted == Self.stock)
        for server in servers { #expect(try await server.api.product(product).availableStock == 0) }
        let (held, ids) = try await Self.heldUnits(url)
        #expect(held == Self.stock)
        #expect(ids == Set(sale.granted.map(\.holdId)))
        #expect(try await servers[1].api.invariants().status == 200)
        try await expectCleanAudit(url)
      }
    }

    @Test func `a killed server neither oversells nor loses a granted hold`() async throws {
      try await withDurableDatabase { url in
        try await withServers(2, on: url) { servers in
          let (victim, survivor) = (servers[0], servers[1])
          let product = try await survivor.api.createProduct(stock: Self.stock)
          let sale = Sale()
          let isTimeToKill = Event()
          let isBack = Event()
          try await withThrowingDiscardingTaskGroup { group in
            group.addTask {
              await isTimeToKill.wait()
              defer { isBack.signal() }
              try await victim.end(with: .kill)
              try await victim.start()
            }
            for buyer in 0..<Self.buyers {
              let server = servers[buyer % 2]
              group.addTask {
                var quantity = Self.firstQuantity(buyer)
                while quantity > 0 {
                  do {
                    quantity = try await sale.ask(for: quantity, of: product, at: server)
                  } catch {
                    // A buyer of the killed server does not know the outcome, and asks again.
                    guard server === victim else { throw error }
                    await isBack.wait()
                  }
                  if sale.unitsGranted > Self.stock / 4 { isTimeToKill.signal() }
                  // This leaves some units for the restarted server.
                  if sale.unitsGranted > Self.stock / 2 { await isBack.wait() }
                }
              }
            }
          }
          #expect(sale.unexpectedAnswers == [])
          #expect(sale.unitsGranted > Self.stock / 2 && sale.unitsGranted <= Self.stock)
          for server in servers { #expect(try await server.api.product(product).availableStock == 0) }
          let (held, ids) = try await Self.heldUnits(url)
          #expect(held == Self.stock)
          #expect(ids.isSuperset(of: sale.granted.map(\.holdId)))
          for hold in sale.granted {
            let answer = try await survivor.api.send("GET", "/api/holds/\(hold.holdId)")
            let found = try answer.decode(APIClient.Hold.self)
            #expect(found.status == "active" && found.quantity == hold.quantity)
          }
          try await expectCleanAudit(url)
        }
      }
    }
  }
}
