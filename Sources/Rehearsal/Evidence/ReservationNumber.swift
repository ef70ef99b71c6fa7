/// The digits that a hold and its order share: `hold_` or `order_`, and 32 hexadecimal digits.
enum ReservationNumber {
  /// Nil if the text is not the id of a hold.
  static func orderID(ofHold id: String) -> String? {
    id.hasPrefix("hold_") ? "order_" + id.dropFirst("hold_".count) : nil
  }

  /// Nil if the text is not the id of an order.
  static func holdID(ofOrder id: String) -> String? {
    id.hasPrefix("order_") ? "hold_" + id.dropFirst("order_".count) : nil
  }
}
