@testable import Checkout

/// The numbers of requests that wait for the next batch of a product.
extension Checkout {
  func waitingReservations(of productID: Int32) -> Int { useCases.reserveHolds.waitingCount(in: productID) }
  func waitingReleases(of productID: Int32) -> Int { useCases.releaseHolds.waitingCount(in: productID) }
  func waitingOrders(of productID: Int32) -> Int { useCases.placeOrders.waitingCount(in: productID) }
  func waitingPaymentEvents(of productID: Int32) -> Int { useCases.applyPaymentEvents.waitingCount(in: productID) }
}
