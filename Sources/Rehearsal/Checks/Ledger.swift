/// The evidence, by hold.
struct Ledger {
  /// In the order of their first response.
  private(set) var reservations: [Reservation] = []
  private var indexes: [String: Int] = [:]

  init(_ evidence: Evidence) {
    for request in evidence.requests where request.kind == .hold && request.isSuccess {
      guard let id = request.response?.holdID else { continue }
      if let index = indexes[id] {
        reservations[index].holdRequests.append(request)
      } else {
        indexes[id] = reservations.count
        reservations.append(Reservation(holdID: id, first: request))
      }
    }
    for request in evidence.requests {
      guard let index = request.holdID.flatMap({ indexes[$0] }) else { continue }
      switch request.kind {
      case .hold: break
      case .order: reservations[index].orders.append(request)
      case .release: reservations[index].releases.append(request)
      case .payment: reservations[index].payments.append(request)
      }
    }
  }

  subscript(holdID: String) -> Reservation? { indexes[holdID].map { reservations[$0] } }
}
