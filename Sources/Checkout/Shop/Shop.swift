import Time

/// The shop at one moment, for operators who watch it. All of it comes from one snapshot of the database.
package struct Shop: Sendable {
  /// The time of the snapshot, by the database's clock.
  package let asOf: Timestamp
  /// How late the oldest due job is that expires holds or orders. Zero when none is due.
  package let jobLateness: Duration
  package let moneyWaiting: MoneyWaiting
  /// The endpoints of events, the oldest first.
  package let endpoints: [EndpointFigures]
  /// The newest products, by id.
  package let products: [ProductFigures]
  /// The number of products that are left out, because they are older.
  package let moreProducts: Int64

  /// Successful payments that wait for an operator.
  package struct MoneyWaiting: Sendable {
    package let refundDue: Int64
    package let amountMismatch: Int64
    package let parked: Int64
    /// The oldest 20, the oldest first.
    package let events: [WaitingEvent]
  }

  /// A payment that waits for an operator.
  package struct WaitingEvent: Sendable {
    package let idempotencyKey: String
    package let orderID: ReservationID
    package let verdict: PaymentEvent.Verdict
    /// In minor units: the event's amount, else its order's. Nil when both are unknown. The same applies to `currency`.
    package let amount: Int64?
    package let currency: String?
    package let receivedAt: Timestamp
  }

  /// An endpoint, and the deliveries of events that wait for it.
  package struct EndpointFigures: Sendable {
    package let id: EndpointID
    package let url: String
    package let status: WebhookEndpoint.Status
    /// In a row.
    package let failures: Int32
    /// The deliveries that wait. At most 1000 are counted.
    package let pending: Int64
    /// How long the oldest event waits. Nil when none waits, and while the endpoint is disabled.
    package let oldestAge: Duration?
    /// Why a late attempt failed. Nil when no delivery that waits has failed.
    package let lastError: String?
  }

  /// The deliveries that wait for enabled endpoints.
  package var pendingDeliveries: Int64 {
    endpoints.filter { $0.status == .enabled }.reduce(0) { $0 + $1.pending }
  }

  /// How long the oldest event waits for an enabled endpoint. Zero when none waits.
  package var oldestDeliveryAge: Duration { endpoints.compactMap(\.oldestAge).max() ?? .zero }

  /// A product, the place of all its units, and its last second. `read_shop` says what that second is.
  package struct ProductFigures: Sendable {
    package let product: Product
    /// The units in active holds that have not lapsed.
    package let heldStock: Int64
    /// The units in unpaid orders.
    package let unpaidStock: Int64
    /// The units in paid orders.
    package let paidStock: Int64
    /// The holds that were made in the last second.
    package let holds: Int64
    /// The orders that were placed in the last second.
    package let orders: Int64
    /// The orders that were paid in the last second.
    package let payments: Int64
  }

  /// The result of a read.
  package enum Reading: Sendable {
    case read(Shop)
    /// - Parameter reason: a sentence for the operator. It has no secrets.
    case away(reason: String)
    /// There is no result yet.
    case late
  }
}
