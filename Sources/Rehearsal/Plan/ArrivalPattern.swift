import Glibc

/// How the arrivals of buyers are spread over the sale.
///
/// Each pattern is a Poisson process with a rate that depends on the time. Given their number, its arrivals are
/// independent draws from one distribution (Ross, "Introduction to Probability Models", section 5.3).
package enum ArrivalPattern: String, Codable, CaseIterable, Sendable {
  /// Most buyers come at the start: the rate falls by a factor of e in each tenth of the time.
  case spike
  /// The rate rises from 0 in proportion to the time.
  case ramp
  /// The rate is constant.
  case poisson

  private static let tenths = 10.0

  /// The time of one arrival as a share of the sale, 0 to 1.
  ///
  /// - Parameter draw: uniform, 0 to below 1.
  func position(_ draw: Double) -> Double {
    switch self {
    // The inverse of the exponential distribution, cut off at the end of the sale.
    case .spike: -log(1 - draw * (1 - exp(-Self.tenths))) / Self.tenths
    case .ramp: draw.squareRoot()
    case .poisson: draw
    }
  }

  /// The times of all arrivals, ascending.
  func instants(count: Int, seconds: Double, using random: inout SeededGenerator) -> [Microseconds] {
    (0..<count).map { _ in Microseconds.seconds(seconds * position(Double.random(in: 0..<1, using: &random))) }.sorted()
  }
}
