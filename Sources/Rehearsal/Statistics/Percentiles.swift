/// Exact percentiles of a sample.
package struct Percentiles: Sendable {
  private let sorted: [Microseconds]

  package init(_ values: [Microseconds]) {
    sorted = values.sorted()
  }

  package var count: Int { sorted.count }
  package var maximum: Microseconds? { sorted.last }

  /// The smallest value that is not below a share of the sample (nearest rank). Nil if the sample is empty.
  ///
  /// - Parameter share: above 0, at most 1.
  package func value(_ share: Double) -> Microseconds? {
    guard !sorted.isEmpty else { return nil }
    // The product can be slightly above a whole number.
    let rank = Int((share * Double(sorted.count) - 1e-9).rounded(.up))
    return sorted[min(max(rank, 1), sorted.count) - 1]
  }
}
