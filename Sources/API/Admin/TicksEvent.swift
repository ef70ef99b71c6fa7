import Checkout
import NIOCore
import Telemetry
import Time

/// One tick: the shop, the database and this server at one moment.
struct TicksEvent {
  let time: Timestamp
  let identity: ServerIdentity
  let server: TicksServer
  let inFlight: Int
  let openStreams: Int
  let database: TicksDatabase
  let secondsLeft: [Int32: Double]

  /// The event before the end of a stream whose key or session is no longer valid.
  static let signedOut = ByteBuffer(string: "event: signed-out\ndata: {}\n\n")

  /// The event of the stream. `JSONObject` writes no line breaks, so the data is one line.
  func encoded() -> ByteBuffer {
    var json = JSONObject()
    json.add("time", time.rfc3339)
    json.add("server", object: addServer)
    json.add("database") { json in
      json.add("reachable", database.isReachable)
      json.add("since", (database.since ?? time).rfc3339)
      json.add("reason", database.reason)
    }
    if let shop = database.shop {
      json.add("shop") { add(shop, to: &$0) }
    } else {
      json.add("shop", object: nil)
    }
    var data = json.finished()
    var event = ByteBuffer(string: "event: tick\ndata: ")
    event.writeBuffer(&data)
    event.writeStaticString("\n\n")
    return event
  }

  private func addServer(to json: inout JSONObject) {
    json.add("name", identity.name)
    json.add("version", BuildInfo.version)
    json.add("started_at", identity.startedAt.rfc3339)
    json.add("requests_per_second", server.requestsPerSecond.rounded(toDecimals: 1))
    json.add("in_flight", inFlight)
    json.add("open_streams", openStreams)
    json.add("latency_ms") { json in
      json.add("p50", server.p50?.rounded(toDecimals: 2))
      json.add("p99", server.p99?.rounded(toDecimals: 2))
    }
    json.add(
      "refusals_per_second",
      numbers: server.refusalsPerSecond.map { ($0.name, $0.value.rounded(toDecimals: 1)) })
  }

  private func add(_ shop: Shop, to json: inout JSONObject) {
    json.add("as_of", shop.asOf.rfc3339)
    // The counts are those of one second.
    json.add("holds_per_second", Double(shop.products.reduce(0) { $0 + $1.holds }))
    json.add("orders_per_second", Double(shop.products.reduce(0) { $0 + $1.orders }))
    json.add("payments_per_second", Double(shop.products.reduce(0) { $0 + $1.payments }))
    json.add("jobs") { $0.add("late_ms", Int64(shop.jobLateness / .milliseconds(1))) }
    json.add("money_waiting") { add(shop.moneyWaiting, to: &$0) }
    if shop.endpoints.isEmpty {
      json.add("deliveries", object: nil)
    } else {
      json.add("deliveries") { addDeliveries(of: shop, to: &$0) }
    }
    json.add("more_products", shop.moreProducts)
    json.add("products", shop.products) { figures, json in
      json.add(figures.product)
      json.add("held_stock", figures.heldStock)
      json.add("unpaid_stock", figures.unpaidStock)
      json.add("paid_stock", figures.paidStock)
      json.add("holds_per_second", Double(figures.holds))
      json.add("orders_per_second", Double(figures.orders))
      json.add("payments_per_second", Double(figures.payments))
      json.add("sold_out_in_seconds", secondsLeft[figures.product.id]?.rounded(toDecimals: 1))
    }
  }

  private func addDeliveries(of shop: Shop, to json: inout JSONObject) {
    json.add("pending", shop.pendingDeliveries)
    json.add("oldest_seconds", Int64(shop.oldestDeliveryAge / .seconds(1)))
    json.add("endpoints", shop.endpoints) { endpoint, json in
      json.add("id", endpoint.id.text)
      json.add("url", endpoint.url)
      json.add("status", endpoint.status.rawValue)
      json.add("failures", endpoint.failures)
      json.add("pending", endpoint.pending)
      json.add("last_error", endpoint.lastError)
    }
  }

  private func add(_ money: Shop.MoneyWaiting, to json: inout JSONObject) {
    json.add("refund_due", money.refundDue)
    json.add("amount_mismatch", money.amountMismatch)
    json.add("parked", money.parked)
    json.add("events", money.events) { event, json in
      json.add("idempotency_key", event.idempotencyKey)
      json.add("order_id", event.orderID.orderText)
      json.add("verdict", event.verdict.rawValue)
      json.add("amount", event.amount)
      json.add("currency", event.currency)
      json.add("received_at", event.receivedAt.rfc3339)
    }
  }
}

extension Double {
  fileprivate func rounded(toDecimals count: Int) -> Double {
    let factor: Double = count == 1 ? 10 : 100
    return (self * factor).rounded() / factor
  }
}
