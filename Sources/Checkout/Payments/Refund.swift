import FoundationEssentials
import Postgres
import Time

/// Money of an order that went back to the buyer.
package struct Refund: Sendable, Equatable {
  /// Who recorded the refund.
  package enum Source: String, Sendable {
    case `operator`
    /// An event of the payment provider.
    case provider
  }

  package let id: RefundID
  package let orderID: ReservationID
  /// In minor units of the currency. 0 for a refund that only restocks.
  package let amount: Int64
  /// ISO 4217.
  package let currency: String
  /// Whether the order's units should return to the stock. They return once no money is left.
  package let isRestock: Bool
  package let reason: String?
  package let source: Source
  package let createdAt: Timestamp
}

extension Refund {
  /// Reads the last columns of `refund_order`.
  init(_ row: inout Row) throws {
    id = RefundID(uuid: try row.decode())
    orderID = try row.decodeReservationID()
    amount = try row.decode()
    currency = try row.decode()
    isRestock = try row.decode()
    reason = try row.decodeIfPresent()
    source = try row.decodeCase()
    createdAt = try row.decode()
  }
}

/// The id of a refund. Its first 32 bits are the product, so the id says its product without a look-up.
package struct RefundID: Sendable, Equatable {
  let uuid: UUID

  init(uuid: UUID) {
    self.uuid = uuid
  }

  /// A new id.
  init(productID: Int32) {
    var bytes = UUID().uuid
    withUnsafeMutableBytes(of: &bytes) { $0.storeBytes(of: productID.bigEndian, as: Int32.self) }
    uuid = UUID(uuid: bytes)
  }

  /// The id for clients: `refund_` and 32 lower-case hexadecimal digits.
  package var text: String { "refund_" + uuid.uuidString.lowercased().replacing("-", with: "") }
}
