import API
import ArgumentParser
import Checkout

/// `flashsale order list`.
struct OrderListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List orders, newest first, or export them.",
    discussion: "A status is pending_payment, paid, cancelled, expired or refunded.")

  @OptionGroup var options: ListOptions

  func run() async throws {
    try await options.list(
      ListedOrder.self, header: ["ORDER", "CREATED", "QUANTITY", "AMOUNT", "STATUS", "CUSTOMER"]
    ) { order in
      [
        order.id.orderText, order.createdAt.rfc3339, "\(order.quantity)", "\(order.amount) \(order.currency)",
        order.status.rawValue, order.customerID ?? "-",
      ]
    }
  }
}
