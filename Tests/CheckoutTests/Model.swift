@testable import Checkout

/// The contract of the checkout, without clocks, batches or a database. It is small enough to be checked by reading.
struct Model {
  struct ProductState {
    let total: Int32
    var window = Window.open
    var maximumPerHold: Int32?
    var maximumPerCustomer: Int32?
  }

  enum Window: CaseIterable {
    case upcoming, open, paused, ended
  }

  struct HoldState {
    let product: Int
    let quantity: Int32
    let customer: String?
    var status = Hold.Status.active
    /// Whether `expires_at` has passed.
    var isLapsed = false
  }

  struct OrderState {
    var status = Order.Status.pendingPayment
    var isOverdue = false
    var refunded: Int64 = 0
    var isRestocked = false
    /// `open`, `won` or `lost`.
    var dispute: String?

    /// Whether the order has its units.
    var isLive: Bool { [.pendingPayment, .paid, .refunded].contains(status) && !isRestocked }
  }

  struct Event: Equatable {
    let hold: Int
    let status: PaymentEvent.Status
    let amount: Int64?
    /// The key of the payment that a refund or dispute is about.
    let paymentKey: String?
    var verdict: PaymentEvent.Verdict = .parked
    var orderStatus: Order.Status?
    var isSettled = false
  }

  /// A refund by an operator.
  struct Refund {
    let hold: Int
    let requested: Int64?
    let isRestock: Bool
    let amount: Int64
    let key: String
  }

  static let price: Int64 = 100

  var products: [ProductState]
  var holds: [HoldState] = []
  /// Orders by the index of their hold.
  var orders: [Int: OrderState] = [:]
  /// Events and their idempotency keys, in the order of arrival.
  var events: [(key: String, event: Event)] = []
  var refunds: [Refund] = []

  init(totals: [Int32]) {
    products = totals.map { ProductState(total: $0) }
  }

  /// The total stock, less the units in active holds that have not lapsed and in live orders.
  func available(_ product: Int) -> Int32 {
    var available = products[product].total
    for (index, hold) in holds.enumerated() where hold.product == product {
      if hold.status == .active, !hold.isLapsed { available -= hold.quantity }
      if orders[index]?.isLive == true { available -= hold.quantity }
    }
    return available
  }

  /// The units in active holds that have not lapsed, in unpaid orders, and in paid or refunded ones that have their units.
  func places(_ product: Int) -> (held: Int64, unpaid: Int64, paid: Int64) {
    var places: (held: Int64, unpaid: Int64, paid: Int64) = (0, 0, 0)
    for (index, hold) in holds.enumerated() where hold.product == product {
      if visibleStatus(index) == .active { places.held += Int64(hold.quantity) }
      guard let order = orders[index], order.isLive else { continue }
      if order.status == .pendingPayment { places.unpaid += Int64(hold.quantity) }
      if order.status != .pendingPayment { places.paid += Int64(hold.quantity) }
    }
    return places
  }

  func visibleStatus(_ index: Int) -> Hold.Status {
    holds[index].status == .active && holds[index].isLapsed ? .expired : holds[index].status
  }

  /// A customer's units in active holds and live orders.
  func units(of customer: String, in product: Int) -> Int32 {
    holds.indices.filter { holds[$0].product == product && holds[$0].customer == customer && isTaken($0) }
      .reduce(0) { $0 + holds[$1].quantity }
  }

  private func isTaken(_ index: Int) -> Bool {
    switch visibleStatus(index) {
    case .active: true
    case .ordered: orders[index]?.isLive == true
    case .released, .expired: false
    }
  }

  func status(_ product: Int) -> Product.Status {
    switch products[product].window {
    case .upcoming: return .upcoming
    case .ended: return .ended
    case .paused: return .paused
    case .open: break
    }
    if available(product) > 0 { return .onSale }
    let mayComeBack = holds.indices.contains {
      holds[$0].product == product && (visibleStatus($0) == .active || orders[$0]?.status == .pendingPayment)
    }
    return mayComeBack ? .reservedOut : .soldOut
  }

  /// Outcomes, as the database spells them.
  enum Reservation: String {
    case held
    case insufficientStock = "insufficient_stock"
    case quantityAboveLimit = "quantity_above_limit"
    case customerRequired = "customer_required"
    case customerLimitReached = "customer_limit_reached"
    case saleNotStarted = "sale_not_started"
    case saleEnded = "sale_ended"
    case salePaused = "sale_paused"
  }

  mutating func reserve(_ product: Int, _ quantity: Int32, _ customer: String?) -> Reservation {
    let rules = products[product]
    if let maximum = rules.maximumPerHold, quantity > maximum { return .quantityAboveLimit }
    if rules.maximumPerCustomer != nil, customer == nil { return .customerRequired }
    switch rules.window {
    case .upcoming: return .saleNotStarted
    case .ended: return .saleEnded
    case .paused: return .salePaused
    case .open: break
    }
    if let maximum = rules.maximumPerCustomer, let customer, units(of: customer, in: product) + quantity > maximum {
      return .customerLimitReached
    }
    guard available(product) >= quantity else { return .insufficientStock }
    holds.append(HoldState(product: product, quantity: quantity, customer: customer))
    return .held
  }

  /// - Returns: the hold's status afterwards.
  mutating func release(_ index: Int) -> Hold.Status {
    if visibleStatus(index) == .active { holds[index].status = .released }
    return visibleStatus(index)
  }

  /// - Returns: the hold's status before, `active` when the order was placed.
  mutating func place(_ index: Int) -> Hold.Status {
    let status = visibleStatus(index)
    guard status == .active else { return status }
    holds[index].status = .ordered
    orders[index] = OrderState()
    for position in events.indices
    where events[position].event.hold == index && events[position].event.verdict == .parked {
      var event = events[position].event
      decide(&event, ofLiveOrder: true)
      events[position].event = event
    }
    decideRefunds(ofPayments: Set(events.lazy.filter { $0.event.hold == index }.map { $0.key }))
    return .active
  }

  /// A worker expires lapsed holds and overdue orders.
  mutating func expire() {
    for index in holds.indices where holds[index].isLapsed && holds[index].status == .active {
      holds[index].status = .expired
    }
    for (index, order) in orders where order.isOverdue && order.status == .pendingPayment {
      orders[index]!.status = .expired
    }
  }
}
