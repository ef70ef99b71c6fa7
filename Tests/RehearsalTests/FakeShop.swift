import Foundation
import Synchronization

@testable import Rehearsal

/// A shop in memory, with the rules of flashsale but without times. A test can plant a fault.
final class FakeShop: Sendable {
  enum Fault: Sendable {
    case none
    /// Each seventh response is lost after the request took effect.
    case losesResponses
    /// Grants holds without stock.
    case oversells
    /// Forgets each hold after its response.
    case forgetsHolds
  }

  private struct Item {
    var quantity: Int
    var state: String
  }

  private struct State {
    var available = 0
    var total = 0
    var isPaused = false
    var count = 0
    /// Holds and orders by the number of the hold.
    var holds: [String: Item] = [:]
    var orders: [String: Item] = [:]
    /// The numbers of the holds that keys led to.
    var keys: [String: String] = [:]
    var events: [String: (order: String, status: String, verdict: String, orderStatus: String?)] = [:]
  }

  private let fault: Fault
  private let state = Mutex(State())

  init(_ fault: Fault = .none) { self.fault = fault }

  var isPaused: Bool { state.withLock { $0.isPaused } }

  /// Nil for a response that is lost.
  func respond(
    _ method: String, _ path: String, key: String?, body: Data
  ) -> (status: Int, isReplay: Bool, body: String)? {
    let members = (try? JSONSerialization.jsonObject(with: body)) as? [String: Any] ?? [:]
    return state.withLock { state in
      state.count += 1
      let response = respond(method, path, key, members, &state)
      let isLost = fault == .losesResponses && state.count.isMultiple(of: 7)
      return isLost ? nil : response
    }
  }

  private func respond(
    _ method: String, _ path: String, _ key: String?, _ members: [String: Any], _ state: inout State
  ) -> (Int, Bool, String) {
    let number = String(path.split(separator: "/").last?.split(separator: "_").last ?? "")
    switch (method, path) {
    case ("POST", "/api/admin/products"):
      state.total = members["total_stock"] as? Int ?? 0
      state.available = state.total
      return (201, false, #"{"id":7}"#)
    case ("PATCH", _):
      state.isPaused = true
      return (200, false, "{}")
    case ("GET", "/api/products/7"):
      return (200, false, #"{"total_stock":\#(state.total),"available_stock":\#(state.available)}"#)
    case ("GET", "/api/admin/invariants"): return (200, false, #"{"ok":true,"checks":[]}"#)
    case ("POST", "/api/holds"): return hold(members["quantity"] as? Int ?? 0, key ?? "", &state)
    case ("POST", "/api/orders"): return order(members["hold_id"] as? String ?? "", key ?? "", &state)
    case ("POST", "/api/payments/webhook"): return payment(members, &state)
    case ("DELETE", _):
      if state.holds[number]?.state == "active" { state.available += state.holds[number]?.quantity ?? 0 }
      state.holds[number]?.state = "released"
      return (200, false, Self.hold(number, state))
    case ("GET", _) where path.hasPrefix("/api/holds/"):
      return state.holds[number] == nil ? Self.notFound : (200, false, Self.hold(number, state))
    case ("GET", _) where path.hasPrefix("/api/orders/"):
      return state.orders[number] == nil ? Self.notFound : (200, false, Self.order(number, state))
    default:
      let events = state.events.filter { path.hasSuffix("order_id=\($0.value.order)") }.map {
        #"{"idempotency_key":"\#($0)","order_id":"\#($1.order)","status":"\#($1.status)","verdict":"\#($1.verdict)"}"#
      }
      return (200, false, #"{"payment_events":[\#(events.joined(separator: ","))],"next_cursor":null}"#)
    }
  }

  private func hold(_ quantity: Int, _ key: String, _ state: inout State) -> (Int, Bool, String) {
    if let number = state.keys[key] { return (201, true, Self.hold(number, state)) }
    guard state.available >= quantity || fault == .oversells else {
      return (
        409, false, #"{"type":"/problems/insufficient-stock","status":409,"available_stock":\#(state.available)}"#
      )
    }
    state.available -= quantity
    let number = String(format: "%032d", state.count)
    state.holds[number] = Item(quantity: quantity, state: "active")
    state.keys[key] = number
    let response = Self.hold(number, state)
    if fault == .forgetsHolds { state.holds[number] = nil }
    return (201, false, response)
  }

  private func order(_ id: String, _ key: String, _ state: inout State) -> (Int, Bool, String) {
    let number = String(id.dropFirst(5))
    if state.keys[key] != nil { return (201, true, Self.order(number, state)) }
    guard let hold = state.holds[number], hold.state == "active" else { return Self.notFound }
    state.keys[key] = number
    state.holds[number]?.state = "ordered"
    state.orders[number] = Item(quantity: hold.quantity, state: "pending_payment")
    for (key, event) in state.events where event.order == "order_\(number)" && event.verdict == "parked" {
      state.events[key] = decide(number, event.status, &state)
    }
    return (201, false, Self.order(number, state))
  }

  private func payment(_ members: [String: Any], _ state: inout State) -> (Int, Bool, String) {
    let key = members["idempotency_key"] as? String ?? ""
    let number = String((members["order_id"] as? String ?? "").dropFirst(6))
    let isReplay = state.events[key] != nil
    let event = state.events[key] ?? decide(number, members["status"] as? String ?? "", &state)
    state.events[key] = event
    let status = event.orderStatus.map { "\"\($0)\"" } ?? "null"
    let body = #"{"order_id":"order_\#(number)","order_status":\#(status),"verdict":"\#(event.verdict)"}"#
    return (event.verdict == "parked" ? 202 : 200, isReplay, body)
  }

  private func decide(
    _ number: String, _ status: String, _ state: inout State
  ) -> (order: String, status: String, verdict: String, orderStatus: String?) {
    let before = state.orders[number]?.state
    let quantity = state.orders[number]?.quantity ?? 0
    var verdict = before == nil ? "parked" : "refund_due"
    switch (status, before) {
    case ("success", "pending_payment"):
      state.orders[number]?.state = "paid"
      verdict = "applied"
    case ("success", "cancelled") where state.available >= quantity:
      state.available -= quantity
      state.orders[number]?.state = "paid"
      verdict = "reacquired"
    case ("failed", "pending_payment"):
      state.available += quantity
      state.orders[number]?.state = "cancelled"
      verdict = "applied"
    default: break
    }
    return ("order_\(number)", status, verdict, state.orders[number]?.state)
  }

  private static let notFound = (404, false, #"{"type":"/problems/not-found","status":404}"#)

  private static func hold(_ number: String, _ state: State) -> String {
    let item = state.holds[number] ?? Item(quantity: 0, state: "")
    return #"""
      {"hold_id":"hold_\#(number)","quantity":\#(item.quantity),"status":"\#(item.state)","expires_in_seconds":600}
      """#
  }

  private static func order(_ number: String, _ state: State) -> String {
    let item = state.orders[number] ?? Item(quantity: 0, state: "")
    return #"""
      {"order_id":"order_\#(number)","hold_id":"hold_\#(number)","quantity":\#(item.quantity),"status":"\#(item.state)",\#
      "amount":\#(item.quantity * Scenario.price),"created_at":"2026-11-27T09:00:00.000Z",\#
      "payment_due_at":"2026-11-27T09:15:00.000Z"}
      """#
  }
}
