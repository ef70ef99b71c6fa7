import API
import ArgumentParser
import Checkout
import Postgres
import Telemetry
import Time

struct ProductCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "product", abstract: "Create products, list them, and change their stock.",
    subcommands: [Create.self, List.self, Restock.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Create a product and print its id.")

    @Option(help: "Name of the product, 1 to 200 characters.")
    var name: String
    @Option(help: "Price of a unit in the currency's minor units, at least 1.")
    var price: Int32
    @Option(help: "Currency, three capital letters (ISO 4217).")
    var currency = "USD"
    @Option(help: "Total stock in units, at least 1.")
    var stock: Int32
    @Option(help: "Start of the sale, such as 2026-11-27T09:00:00Z (default: now).")
    var startsAt: Timestamp?
    @Option(help: "End of the sale (default: never).")
    var endsAt: Timestamp?
    @Option(help: "Most units of one hold, at least 1 (default: no limit).")
    var maxQuantityPerHold: Int32?
    @Option(help: "Most units of one customer in holds and orders, at least 1 (default: no limit).")
    var maxPerCustomer: Int32?
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard 1...200 ~= name.unicodeScalars.count else { throw ValidationError("--name must have 1 to 200 characters") }
      guard price >= 1 else { throw ValidationError("--price must be at least 1") }
      guard currency.wholeMatch(of: /[A-Z]{3}/) != nil else {
        throw ValidationError("--currency must be three capital letters")
      }
      guard stock >= 1 else { throw ValidationError("--stock must be at least 1") }
      if let startsAt, let endsAt, startsAt >= endsAt {
        throw ValidationError("--ends-at must be after --starts-at")
      }
      guard maxQuantityPerHold ?? 1 >= 1 else { throw ValidationError("--max-quantity-per-hold must be at least 1") }
      guard maxPerCustomer ?? 1 >= 1 else { throw ValidationError("--max-per-customer must be at least 1") }
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
    static let configuration = CommandConfiguration(abstract: "List the products with their stock.")

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
      abstract: "Change a product's stock.", discussion: "A negative number removes available units.")

    @Argument(help: "Id of the product.")
    var id: Int32
    @Argument(parsing: .allUnrecognized, help: "Units to add; a negative number removes units.")
    var delta: [Int32]
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard delta.count == 1, delta[0] != 0 else { throw ValidationError("give one number of units, other than 0") }
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
      case .keyReused?: throw Failure("the idempotency key belongs to another request")
      case .done?: print("done")
      }
    }
  }
}

/// Parses an RFC 3339 date and time.
extension Timestamp: ExpressibleByArgument {
  package init?(argument: String) {
    self.init(rfc3339: argument)
  }
}

/// Prints a table. Each column is as wide as its widest cell. Cells are escaped, so no cell can forge a line.
func printTable(_ header: [String], _ rows: [[String]]) {
  let lines = [header] + rows.map { $0.map(\.escapedForTerminal) }
  let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
  for line in lines {
    let cells = zip(line, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
    print(String(cells.joined(separator: "  ").reversed().drop(while: { $0 == " " }).reversed()))
  }
}
