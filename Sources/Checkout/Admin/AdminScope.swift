/// What a key may do. Each scope includes the scopes before it.
package enum AdminScope: String, CaseIterable, Comparable, Sendable {
  /// Reads.
  case read
  /// Changes of a product, restocks, settlements and refunds, too.
  case operate
  /// Everything.
  case admin

  package static func < (left: AdminScope, right: AdminScope) -> Bool { left.rank < right.rank }

  private var rank: Int {
    switch self {
    case .read: 0
    case .operate: 1
    case .admin: 2
    }
  }
}
