import API
import ArgumentParser
import Checkout
import Postgres
import Telemetry

struct EventCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "event", abstract: "List what happened in the shop, and send events again.",
    subcommands: [List.self, Redeliver.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the events of the last 30 days, the oldest first.",
      discussion: "Only events that an endpoint or the feed wanted when they happened are recorded.")

    @Option(help: "List only events of this type, such as order.paid.")
    var type: EventType?
    @Option(help: "List only events of the product with this id.")
    var product: Int32?
    @Flag(help: "Print a JSON object for each event instead of a table.")
    var json = false
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      try await withPool(try database.settings.database()) { pool in
        if !json { printRow("TIME", "ID", "TYPE", "OBJECT") }
        var cursor: EventPage.Cursor?
        while true {
          let page = try await pool.events(type: type, productID: product, from: cursor)
          for event in page.events {
            if json {
              print(event.json)
            } else {
              printRow(event.createdAt.rfc3339, event.id.text, event.type, event.objectID)
            }
          }
          guard page.hasMore else { break }
          cursor = page.next
        }
      }
    }

    /// Prints a row when it is read, because there may be millions. Only the last cell has no fixed width.
    private func printRow(_ time: String, _ id: String, _ type: String, _ object: String) {
      let cells = [(time, 24), (id, 36), (type, 18)].map { cell, width in
        cell + String(repeating: " ", count: max(0, width - cell.count))
      }
      print((cells + [object.escapedForTerminal]).joined(separator: "  "))
    }
  }

  struct Redeliver: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send an event again, and print to how many endpoints.",
      discussion: "The endpoints that it was sent to get it, and those that want its type now.")

    @Argument(help: "Id of the event.")
    var id: EventID
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let count = try await withPool(try database.settings.database()) { try await $0.redeliver(id) }
      guard let count else { throw Failure("there is no event \(id.text)") }
      print(count)
    }
  }
}

extension EventType: ExpressibleByArgument {}

extension EventID: ExpressibleByArgument {
  package init?(argument: String) { self.init(text: argument) }
}
