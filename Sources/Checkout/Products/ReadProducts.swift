import Postgres

/// Reads products with their exact stock. One query serves all requests that arrived since the last query started.
struct ReadProducts: RepeatableUseCase {
  static let isRead = true

  typealias Outcome = [Product]

  enum Request: Sendable {
    case one(Int32)
    case all
  }

  /// Requests for single products share a query, and so do requests for the list.
  enum Lane {
    case some, all
  }

  func lane(of request: Request) -> Lane {
    switch request {
    case .one: .some
    case .all: .all
    }
  }

  /// - Returns: the products of each request, empty for an unknown product.
  func execute(_ requests: [Request], lane: Lane, on connection: isolated Connection) throws -> [[Product]] {
    guard lane == .some else {
      let all = try connection.run(Statement(ids: nil))
      return requests.map { _ in all }
    }
    let ids = requests.compactMap { request in
      if case .one(let id) = request { id } else { nil }
    }
    let found = try connection.run(Statement(ids: Array(Set(ids))))
    let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.id, [$0]) })
    return ids.map { byID[$0] ?? [] }
  }

  private struct Statement: PreparedStatement {
    static let name = "read_products"
    static let sql = "select * from flashsale.read_products($1::integer[])"
    let ids: [Int32]?

    func bind(to parameters: inout Parameters) {
      parameters.append(ids)
    }

    static func decode(_ row: inout Row) throws -> Product {
      Product(
        id: try row.decode(), name: try row.decode(), price: try row.decode(), currency: try row.decode(),
        totalStock: try row.decode(), availableStock: try row.decode(), status: try row.decodeCase(),
        startsAt: try row.decodeIfPresent(), endsAt: try row.decodeIfPresent(),
        maximumQuantityPerHold: try row.decodeIfPresent(), maximumPerCustomer: try row.decodeIfPresent())
    }
  }
}

extension Product {
  /// All products with their exact stock, ordered by id.
  ///
  /// - Throws: `PostgresError`.
  package static func all(in database: Pool) async throws -> [Product] {
    try await database.withConnection { try await ReadProducts().execute([.all], lane: .all, on: $0)[0] }
  }
}
