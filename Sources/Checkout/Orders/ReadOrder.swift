/// Reads an order. The outcome is nil for an unknown order.
struct ReadOrder: UseCaseByID {
  typealias Found = Order
  static let isRead = true
  static let function = "read_orders"
}
