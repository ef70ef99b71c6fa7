import API
import ArgumentParser
import Checkout
import Postgres
import Telemetry
import Time

struct ProductCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "product", abstract: "Put products on sale, list them, change their stock.",
    subcommands: [Create.self, List.self, Restock.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Put a product on sale and print its id.")

    @Option(help: "1 to 200 characters.")
    var name: String
    @Option(help: "In minor units of the currency, at least 1.")
    var price: Int32
    @Option(help: "Three capital letters, ISO 4217.")
    var currency = "USD"
    @Option(help: "Units, at least 1.")
    var stock: Int32
    @Option(help: "When the sale begins, such as 2026-11-27T09:00:00Z. At once when not given.")
    var startsAt: Timestamp?
    @Option(help: "When the sale ends. Never when not given.")
    var endsAt: Timestamp?
    @Option(help: "Units that one hold may have, at least 1. No limit when not given.")
    var maxQuantityPerHold: Int32?
    @Option(help: "Units that a customer may have in holds and orders, at least 1. No limit when not given.")
    var maxPerCustomer: Int32?
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard 1...200 ~= name.unicodeScalars.count else { throw ValidationError("--name has 1 to 200 characters") }
      guard price >= 1 else { throw ValidationError("--price is at least 1") }
      guard currency.wholeMatch(of: /[A-Z]{3}/) != nil else {
        throw ValidationError("--currency is three capital letters")
      }
      guard stock >= 1 else { throw ValidationError("--stock is at least 1") }
      if let startsAt, let endsAt, startsAt >= endsAt {
        throw ValidationError("--ends-at is after --starts-at")
      }
      guard maxQuantityPerHold ?? 1 >= 1 else { throw ValidationError("--max-quantity-per-hold is at least 1") }
      guard maxPerCustomer ?? 1 >= 1 else { throw ValidationError("--max-per-customer is at least 1") }
    }

    func run() async throws {
      let product = CreateProduct(
        name: name, price: price, currency: currency, stock: stock, startsAt: startsAt, endsAt: endsAt,
        maximumQuantityPerHold: maxQuantityPerHold, maximumPerCustomer: maxPerCustomer)
      try await withPool(try database.settings.database()) { pool in
        guard case .created(let id, _)? = try await pool.transact(product).first else { return }
        print(id)
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the products with their exact stock.")

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let products = try await withPool(try database.settings.database()) { try await Product.all(in: $0) }
      printTable(
        ["ID", "NAME", "PRICE", "TOTAL", "AVAILABLE"],
        products.map {
          ["\($0.id)", $0.name, "\($0.price) \($0.currency)", "\($0.totalStock)", "\($0.availableStock)"]
        })
    }
  }

  struct Restock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change a product's stock.", discussion: "A negative number takes away what is still available.")

    @Argument(help: "The product's id.")
    var id: Int32
    @Argument(parsing: .allUnrecognized, help: "Units to add, or to take away when negative.")
    var delta: [Int32]
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard delta.count == 1, delta[0] != 0 else { throw ValidationError("give one number of units that is not 0") }
    }

    func run() async throws {
      let results = try await withPool(try database.settings.database()) { [delta] pool in
        try await pool.transact(RestockProduct(productID: id, delta: delta[0]))
      }
      switch results.first {
      case nil: throw Failure("there is no product \(id)")
      case .insufficientStock(let left)?:
        throw Failure("product \(id) has \(left.available) units available; the rest is in holds and orders")
      case .totalStockTooLarge?: throw Failure("product \(id) would have more than \(Int32.max) units")
      case .keyReused?: throw Failure("the call's key belongs to another one")
      case .done?: print("done")
      }
    }
  }
}

/// A date and time with its offset from UTC (RFC 3339).
extension Timestamp: ExpressibleByArgument {
  package init?(argument: String) {
    self.init(rfc3339: argument)
  }
}

/// Prints columns that are as wide as their widest cell. What would forge a line or a cell is escaped.
func printTable(_ header: [String], _ rows: [[String]]) {
  let lines = [header] + rows.map { $0.map(\.escapedForTerminal) }
  let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
  for line in lines {
    let cells = zip(line, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
    print(String(cells.joined(separator: "  ").reversed().drop(while: { $0 == " " }).reversed()))
  }
}
