/// Reads an order as it stands.
struct ReadOrder: UseCaseByID {
  typealias Found = Order
  static let isRead = true
  static let function = "read_orders"
}
