import API
import ArgumentParser
import Checkout

struct HoldCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hold", abstract: "List holds.", subcommands: [List.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List holds, newest first, or export them.",
      discussion: "A status is active, ordered, released or expired.")

    @OptionGroup var options: ListOptions

    func run() async throws {
      try await options.list(
        ListedHold.self, header: ["HOLD", "CREATED", "QUANTITY", "STATUS", "EXPIRES", "CUSTOMER"]
      ) { hold in
        [
          hold.id.holdText, hold.createdAt.rfc3339, "\(hold.quantity)", hold.status.rawValue,
          hold.expiresAt.rfc3339, hold.customerID ?? "-",
        ]
      }
    }
  }
}
