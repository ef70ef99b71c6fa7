import Foundation

/// One event of `GET /api/admin/ticks`, as a client reads it.
package struct Tick: Decodable, Sendable {
  package let time: String
  package let server: Server
  package let database: Database
  package let shop: Shop?

  package struct Server: Decodable, Sendable {
    package let name: String
    package let version: String
    package let startedAt: String
    package let requestsPerSecond: Double
    package let inFlight: Int
    package let openStreams: Int
    package let latencyMs: Latency
    package let refusalsPerSecond: [String: Double]

    package struct Latency: Decodable, Sendable {
      package let p50: Double?
      package let p99: Double?
    }
  }

  package struct Database: Decodable, Sendable {
    package let reachable: Bool
    package let since: String
    package let reason: String?
  }

  package struct Shop: Decodable, Sendable {
    package let asOf: String
    package let holdsPerSecond: Double
    package let ordersPerSecond: Double
    package let paymentsPerSecond: Double
    package let jobs: Jobs
    package let moneyWaiting: MoneyWaiting
    package let deliveries: Deliveries?
    package let moreProducts: Int
    package let products: [Product]

    package struct Jobs: Decodable, Sendable {
      package let lateMs: Int
    }

    package struct Deliveries: Decodable, Sendable {
      package let pending: Int
      package let oldestSeconds: Int
      package let endpoints: [Endpoint]
    }

    package struct Endpoint: Decodable, Sendable {
      package let id: String
      package let url: String
      package let status: String
      package let failures: Int
      package let pending: Int
      package let lastError: String?
    }

    package struct MoneyWaiting: Decodable, Sendable {
      package let refundDue: Int
      package let amountMismatch: Int
      package let parked: Int
      package let events: [Event]
    }

    package struct Event: Decodable, Sendable {
      package let idempotencyKey: String
      package let orderId: String
      package let verdict: String
      package let amount: Int?
      package let currency: String?
      package let receivedAt: String
    }
  }

  package struct Product: Decodable, Sendable {
    package let id: Int
    package let name: String
    package let status: String
    package let totalStock: Int
    package let availableStock: Int
    package let heldStock: Int
    package let unpaidStock: Int
    package let paidStock: Int
    package let holdsPerSecond: Double
    package let ordersPerSecond: Double
    package let paymentsPerSecond: Double
    package let soldOutInSeconds: Double?

    /// Whether each unit has one place.
    package var isConserved: Bool { totalStock == availableStock + heldStock + unpaidStock + paidStock }
  }

  /// - Parameter data: the data of the event.
  package init(data: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Tick.self, from: Data(data.utf8))
  }
}

extension EventReader {
  /// The ticks of the stream.
  package var ticks: [Tick] {
    others.filter { $0.type == "tick" }.compactMap { try? Tick(data: $0.data) }
  }
}
