import API
import ArgumentParser
import Checkout
import FoundationEssentials
import Postgres

struct OrderCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "order", abstract: "List orders, show one with its payments, and record refunds.",
    subcommands: [OrderListCommand.self, Show.self, Refund.self])

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show an order with its payment events and its refunds.",
      discussion: "Amounts are in minor units of the currency.")

    @Argument(help: "Id of the order.")
    var orderID: String
    @Flag(help: "Print JSON instead of tables.")
    var json = false
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let id = try parsedOrderID(orderID)
      let found = try await withPool(try database.settings.database()) { pool in
        try await ReadOrderHistory(id).history(from: pool)
      }
      guard let history = found else { throw unknownOrder(orderID) }
      if json { print(history.json) } else { printTables(history) }
    }

    private func printTables(_ history: OrderHistory) {
      let order = history.order
      func amount(_ amount: Int64?, _ currency: String?) -> String {
        guard let amount else { return "-" }
        return currency.map { "\(amount) \($0)" } ?? "\(amount)"
      }
      printTable(
        ["ORDER", order.id.orderText],
        [
          ["status", order.status.rawValue], ["product", "\(order.id.productID)"], ["quantity", "\(order.quantity)"],
          ["amount", amount(order.amount, order.currency)], ["refunded", amount(order.refundedAmount, order.currency)],
          ["restocked", history.isRestocked ? "yes" : "no"], ["dispute", order.dispute?.rawValue ?? "-"],
          ["customer", history.customerID ?? "-"], ["created at", order.createdAt.rfc3339],
          ["paid at", order.paidAt?.rfc3339 ?? "-"],
        ])
      print()
      printTable(
        ["RECEIVED", "PAYMENT EVENT", "STATUS", "AMOUNT", "VERDICT", "SETTLED"],
        history.paymentEvents.map {
          [
            $0.receivedAt.rfc3339, $0.event.idempotencyKey, $0.event.status.rawValue,
            amount($0.event.amount, $0.event.currency), $0.verdict.rawValue, $0.settledAt?.rfc3339 ?? "-",
          ]
        })
      print()
      printTable(
        ["RECORDED", "REFUND", "AMOUNT", "RESTOCK", "SOURCE", "REASON"],
        history.refunds.map {
          [
            $0.createdAt.rfc3339, $0.id.text, amount($0.amount, $0.currency), $0.isRestock ? "yes" : "no",
            $0.source.rawValue, $0.reason ?? "-",
          ]
        })
    }
  }

  struct Refund: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Record that money of an order went back to the buyer.",
      discussion: """
        FlashSale sends no money: refund the payment at the provider. A refund cannot be undone. The same command with the \
        same --key has one effect.
        """)

    @Argument(help: "Id of the order.")
    var orderID: String
    @Option(help: "Amount in the currency's minor units, at least 1 (default: all that is left).")
    var amount: Int64?
    @Flag(help: "Return the order's units to the stock, once all of its money has gone back.")
    var restock = false
    @Option(help: "Reason, 1 to 255 characters. Buyers do not see it.")
    var reason: String?
    @Option(help: "Idempotency key, 1 to 255 visible ASCII characters (default: a new key).")
    var key: String?
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard amount ?? 1 >= 1 else { throw ValidationError("--amount must be at least 1") }
      if let reason {
        // No argument of a command has U+0000.
        guard 1...RefundOrder.maximumReasonLength ~= reason.unicodeScalars.count else {
          throw ValidationError("--reason must have 1 to \(RefundOrder.maximumReasonLength) characters")
        }
      }
      if let key {
        guard 1...255 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
          throw ValidationError("--key must have 1 to 255 visible ASCII characters")
        }
      }
    }

    func run() async throws {
      let id = try parsedOrderID(orderID)
      let key = key ?? "cli_" + UUID().uuidString.lowercased()
      let request = RefundOrder(
        orderID: id, amount: amount, isRestock: restock, reason: reason, idempotencyKey: key)
      let outcome = try await withPool(try database.settings.database()) { pool in
        do {
          return try await pool.transactOnce(request)[0]
        } catch let error as PostgresError where error.isConnectionLost {
          // The first attempt may have taken effect. A command with another key would record the refund again.
          throw Failure("\(error); the refund may have been recorded; repeat the command with --key \(key)")
        }
      }
      switch outcome {
      case .refunded(let refund, _): print(refund.id.text, refund.amount, refund.currency)
      case .keyReused: throw Failure("the idempotency key belongs to another request")
      case .orderNotFound: throw unknownOrder(orderID)
      case .orderNotPaid(let status):
        throw Failure("the order is \(status.rawValue); only a paid order can be refunded")
      case .refundTooLarge(let left): throw Failure("only \(left) of the order's amount is left to refund")
      }
    }
  }
}

/// - Throws: `Failure` for a text that is no id of an order.
private func parsedOrderID(_ text: String) throws -> ReservationID {
  guard let id = ReservationID(orderText: text) else { throw unknownOrder(text) }
  return id
}

private func unknownOrder(_ text: String) -> Failure { Failure("there is no order \(text)") }
