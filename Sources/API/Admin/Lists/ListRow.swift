import Checkout
import NIOCore

/// A row of a list with its members for clients: of a JSON object, and of a line of CSV.
package protocol ListRow: Listed {
  /// The name of the list: the member that has the rows, and the name of a file.
  static var listName: StaticString { get }
  static var members: [ListMember<Self>] { get }
  /// A position as a cursor: the id of a row.
  static func cursorText(_ position: ReservationID) -> String
  /// Nil if the text is no cursor.
  static func cursor(_ text: String) -> ReservationID?
}

package struct ListMember<Row: Listed>: Sendable {
  let name: StaticString
  let value: @Sendable (Row) -> ListValue

  init(_ name: StaticString, _ value: @escaping @Sendable (Row) -> ListValue) {
    self.name = name
    self.value = value
  }
}

/// The value of a member.
enum ListValue {
  /// Nil is null.
  case text(String?)
  case number(Int64)
  /// A complete JSON object. Nil is an object without members.
  case object(String?)
}

extension ListedOrder: ListRow {
  package static let listName: StaticString = "orders"

  package static let members: [ListMember<ListedOrder>] = [
    ListMember("order_id") { .text($0.id.orderText) },
    ListMember("hold_id") { .text($0.id.holdText) },
    ListMember("product_id") { .number(Int64($0.id.productID)) },
    ListMember("quantity") { .number(Int64($0.quantity)) },
    ListMember("amount") { .number($0.amount) },
    ListMember("currency") { .text($0.currency) },
    ListMember("status") { .text($0.status.rawValue) },
    ListMember("payment_due_at") { .text($0.paymentDueAt.rfc3339) },
    ListMember("created_at") { .text($0.createdAt.rfc3339) },
    ListMember("paid_at") { .text($0.paidAt?.rfc3339) },
    ListMember("refunded_amount") { .number($0.refundedAmount) },
    ListMember("dispute") { .text($0.dispute) },
    ListMember("metadata") { .object($0.metadata) },
    ListMember("customer_id") { .text($0.customerID) },
  ]

  package static func cursorText(_ position: ReservationID) -> String { position.orderText }
  package static func cursor(_ text: String) -> ReservationID? { ReservationID(orderText: text) }
}

extension ListedHold: ListRow {
  package static let listName: StaticString = "holds"

  package static let members: [ListMember<ListedHold>] = [
    ListMember("hold_id") { .text($0.id.holdText) },
    ListMember("product_id") { .number(Int64($0.id.productID)) },
    ListMember("quantity") { .number(Int64($0.quantity)) },
    ListMember("status") { .text($0.status.rawValue) },
    ListMember("created_at") { .text($0.createdAt.rfc3339) },
    ListMember("expires_at") { .text($0.expiresAt.rfc3339) },
    // Rounded down, so that the hold lasts at least this long.
    ListMember("expires_in_seconds") { .number($0.remaining.components.seconds) },
    ListMember("metadata") { .object($0.metadata) },
    ListMember("customer_id") { .text($0.customerID) },
  ]

  package static func cursorText(_ position: ReservationID) -> String { position.holdText }
  package static func cursor(_ text: String) -> ReservationID? { ReservationID(holdText: text) }
}

extension JSONObject {
  /// Adds the members of a row.
  mutating func add<Row: ListRow>(_ row: Row) {
    for member in Row.members {
      switch member.value(row) {
      case .text(let text): add(member.name, text)
      case .number(let number): add(member.name, number)
      case .object(let json): add(member.name, json: json ?? "{}")
      }
    }
  }
}
