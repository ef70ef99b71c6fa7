import API
import ArgumentParser
import Checkout
import Postgres

struct DeliveryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delivery", abstract: "Show what became of events.", subcommands: [List.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List deliveries of events, the newest first.")

    @Option(help: "List only deliveries to the endpoint with this id.")
    var endpoint: EndpointID?
    @Option(help: "List only deliveries with this status: pending, delivered or failed.")
    var status: DeliveryRecord.Status?
    @Option(help: "List only deliveries of the event with this id.")
    var event: EventID?
    @Option(help: "Most deliveries to list, at least 1.")
    var limit = 100
    @Flag(help: "Print a JSON object for each delivery instead of a table.")
    var json = false
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard limit >= 1 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
      let deliveries = try await withPool(try database.settings.database()) { pool -> [DeliveryRecord] in
        var found: [DeliveryRecord] = []
        var cursor: DeliveryPage.Cursor?
        repeat {
          let page = try await pool.deliveries(to: endpoint, status: status, of: event, from: cursor)
          found += page.deliveries
          cursor = page.next
        } while cursor != nil && found.count < limit
        return Array(found.prefix(limit))
      }
      if json { return deliveries.forEach { print($0.json) } }
      printTable(
        ["CREATED", "EVENT", "TYPE", "ENDPOINT", "STATUS", "ATTEMPTS", "RESULT"],
        deliveries.map { delivery in
          let result = delivery.error ?? delivery.statusCode.map { "status \($0)" } ?? "-"
          return [
            delivery.createdAt.rfc3339, delivery.eventID.text, delivery.type, delivery.endpointID.text,
            delivery.status.rawValue, "\(delivery.attempts)", result,
          ]
        })
    }
  }
}

extension DeliveryRecord.Status: ExpressibleByArgument {}
