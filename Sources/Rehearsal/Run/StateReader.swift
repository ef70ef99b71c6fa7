import Foundation
import NIOCore

/// Reads the state of all holds, orders and payment events after the sale.
struct StateReader: Sendable {
  let caller: Caller
  let admin: AdminCalls
  let clock: RunClock

  /// Holds lapse while they are read. A round in which the stock did not change is exact.
  private static let rounds = 3
  /// The requests that wait at the same time. More would only wait for a connection.
  private static let concurrency = 256

  /// - Parameter requests: the requests of the buyers.
  func read(_ product: Evidence.Product, after requests: [RequestRecord]) async -> FinalReadings {
    let holds = Self.holdIDs(requests)
    let orders = Self.orderIDs(requests)
    var readings = FinalReadings()
    for _ in 1...Self.rounds {
      readings.stockBefore = await stock(of: product)
      // The server cannot be reached. Each further read would wait for it as long.
      guard readings.stockBefore != nil else { return readings }
      readings.holds = await onEach(holds) { await item("/api/holds/\($0)", id: $0) }
      readings.orders = await onEach(orders) { await item("/api/orders/\($0)", id: $0) }
      readings.stockAfter = await stock(of: product)
      if readings.stockBefore?.available == readings.stockAfter?.available { break }
    }
    let paid = Set(requests.compactMap { $0.kind == .payment ? $0.orderID : nil }).sorted()
    let events = await onEach(paid) { id in (id, try? await admin.paymentEvents(ofOrder: id)) }
    readings.events = events.flatMap { $0.1 ?? [] }
    readings.ordersWithoutEvents = events.filter { $0.1 == nil }.map(\.0)
    readings.invariants = try? await admin.invariants()
    return readings
  }

  /// All holds that were granted.
  private static func holdIDs(_ requests: [RequestRecord]) -> [String] {
    Set(requests.compactMap { $0.kind == .hold && $0.isSuccess ? $0.response?.holdID : nil }).sorted()
  }

  /// All orders that exist or may exist.
  private static func orderIDs(_ requests: [RequestRecord]) -> [String] {
    Set(requests.compactMap { $0.kind == .order ? $0.holdID.flatMap { ReservationNumber.orderID(ofHold: $0) } : nil })
      .sorted()
  }

  private func stock(of product: Evidence.Product) async -> FinalReadings.Stock? {
    struct Body: Decodable {
      let total_stock: Int
      let available_stock: Int
    }
    guard let answer = try? await caller.call(HTTPCall(method: .GET, path: "/api/products/\(product.id)")),
      let body = try? JSONDecoder().decode(Body.self, from: Data(answer.response.body))
    else { return nil }
    return FinalReadings.Stock(
      sent: clock.time(answer.sent), ended: clock.time(answer.ended), total: body.total_stock,
      available: body.available_stock)
  }

  private func item(_ path: String, id: String) async -> FinalReadings.Item {
    guard let answer = try? await caller.call(HTTPCall(method: .GET, path: path)) else {
      return FinalReadings.Item(id: id, sent: clock.now, ended: clock.now, status: nil)
    }
    let response = SaleResponse(
      status: answer.response.status, isReplay: false, retryAfterSeconds: nil, body: answer.response.body)
    return FinalReadings.Item(
      id: id, sent: clock.time(answer.sent), ended: clock.time(answer.ended), status: response.status,
      state: response.state, quantity: response.quantity, amount: response.amount)
  }

  /// The results in the order of the inputs.
  private func onEach<Output: Sendable>(
    _ ids: [String], _ body: @escaping @Sendable (String) async -> Output
  ) async -> [Output] {
    await withTaskGroup(of: (Int, Output).self) { group in
      var outputs: [Output?] = Array(repeating: nil, count: ids.count)
      for (index, id) in ids.enumerated() {
        if index >= Self.concurrency, let (done, output) = await group.next() { outputs[done] = output }
        group.addTask { (index, await body(id)) }
      }
      for await (done, output) in group { outputs[done] = output }
      return outputs.compactMap { $0 }
    }
  }
}
