/// Spearman's rank correlation: Pearson's correlation of the ranks. Equal values share their mean rank.
package enum RankCorrelation {
  /// 1 if both orders are the same, -1 if one is the reverse of the other.
  ///
  /// - Returns: nil with fewer than two pairs, or if all values of a side are equal.
  package static func spearman(_ pairs: [(Microseconds, Microseconds)]) -> Double? {
    guard pairs.count >= 2 else { return nil }
    let left = ranks(pairs.map(\.0))
    let right = ranks(pairs.map(\.1))
    // The mean of the ranks 1 to n, also with shared ranks.
    let mean = Double(pairs.count + 1) / 2
    var (both, leftOnly, rightOnly) = (0.0, 0.0, 0.0)
    for (a, b) in zip(left, right) {
      both += (a - mean) * (b - mean)
      leftOnly += (a - mean) * (a - mean)
      rightOnly += (b - mean) * (b - mean)
    }
    guard leftOnly > 0, rightOnly > 0 else { return nil }
    return both / (leftOnly * rightOnly).squareRoot()
  }

  static func ranks(_ values: [Microseconds]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start
      while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
      for position in start...end { ranks[order[position]] = Double(start + end) / 2 + 1 }
      start = end + 1
    }
    return ranks
  }
}
