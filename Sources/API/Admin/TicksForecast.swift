import Checkout
import Time

/// When products will be sold out if they go on selling as in the last ten seconds.
struct TicksForecast {
  private struct Reading {
    let asOf: Timestamp
    /// The units of each product that are not available. Unlike the available units, they do not change with the total.
    let taken: [Int32: Int64]

    /// In microseconds.
    func since(_ earlier: Reading) -> Int64 {
      asOf.microsecondsSince1970 - earlier.asOf.microsecondsSince1970
    }
  }

  private static let spanMicroseconds: Int64 = 10_000_000
  /// A shorter time says nothing about the rate.
  private static let minimumMicroseconds: Int64 = 900_000

  /// The seconds until products are sold out, by their id. A product that does not sell has none.
  private(set) var secondsLeft: [Int32: Double] = [:]
  private var readings: [Reading] = []

  /// - Parameter shop: a newer one than the last time.
  mutating func note(_ shop: Shop) {
    let products = shop.products.map(\.product)
    let reading = Reading(
      asOf: shop.asOf,
      taken: Dictionary(uniqueKeysWithValues: products.map { ($0.id, Int64($0.totalStock) - Int64($0.availableStock)) })
    )
    // After a time without readings, or if the database's clock was set back, the rate begins anew.
    if let last = readings.last, !(0...Self.spanMicroseconds ~= reading.since(last)) { readings = [] }
    readings.append(reading)
    while readings.count > 2, reading.since(readings[1]) >= Self.spanMicroseconds { readings.removeFirst() }
    let first = readings[0]
    secondsLeft = [:]
    guard reading.since(first) >= Self.minimumMicroseconds else { return }
    let seconds = Double(reading.since(first)) / 1_000_000
    for product in products where product.status == .onSale {
      guard let before = first.taken[product.id], let now = reading.taken[product.id], now > before else { continue }
      secondsLeft[product.id] = Double(product.availableStock) * seconds / Double(now - before)
    }
  }
}
