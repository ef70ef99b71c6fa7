import ArgumentParser
import Checkout
@preconcurrency import Glibc
import Postgres

struct CustomerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "customer", abstract: "Erase or export what is stored about a customer.",
    subcommands: [Erase.self, Export.self])

  /// The database and the customer.
  struct Options: ParsableArguments {
    @Argument(help: "The shop's id of the customer (customer_id), 1 to 255 characters.")
    var id: String
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard 1...255 ~= id.unicodeScalars.count else { throw ValidationError("the id must have 1 to 255 characters") }
    }
  }

  struct Erase: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Replace a customer's id by a random pseudonym, and remove the customer's metadata.",
      discussion: """
        Quantities, amounts and states stay. Nobody can undo it. Run it as the owner of the tables. If it is \
        interrupted, run it again: it goes on. It cannot reach logs, backups, and events that were sent.
        """)

    @OptionGroup var options: Options

    func run() async throws {
      let erased = try await withPool(try options.database.settings.database()) { pool in
        try await EraseCustomer(customerID: options.id).run(on: pool)
      }
      guard let erased else { throw Failure("another command has erased this customer") }
      print(
        """
        The customer is now \(erased.pseudonym).
        Replaced in \(erased.holds) holds, \(erased.idempotencyKeys) idempotency keys and \(erased.events) events. \
        Metadata removed from \(erased.orders) orders.
        """)
    }
  }

  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what is stored about a customer, one JSON object a line.",
      discussion: """
        type is hold, idempotency_key, order, payment_event or refund. Run it as the owner of the tables.
        """)

    @OptionGroup var options: Options

    func run() async throws {
      try await withPool(try options.database.settings.database()) { pool in
        try await ExportCustomer(customerID: options.id).run(on: pool) { line in
          // An export that is cut off must not look complete.
          guard puts(line) >= 0 else { throw Failure("cannot write the export: \(String(cString: strerror(errno)))") }
        }
      }
      guard fflush(stdout) == 0 else { throw Failure("cannot write the export: \(String(cString: strerror(errno)))") }
    }
  }
}
