import Postgres

/// Reads products with their exact stock. One query serves all requests that arrived since the last query started.
struct ReadProducts: RepeatableUseCase {
  static let isRead = true

  typealias Outcome = [Product]

  enum Request: Sendable {
    case one(Int32)
    case all

    var productID: Int32? {
      if case .one(let id) = self { id } else { nil }
    }
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
    switch lane {
    case .all:
      let all = try connection.run(Statement(ids: nil))
      return requests.map { _ in all }
    case .some:
      let found = try connection.run(Statement(ids: Array(Set(requests.compactMap(\.productID)))))
      let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
      return requests.map { request in request.productID.flatMap { byID[$0] }.map { [$0] } ?? [] }
    }
  }

  private struct Statement: PreparedStatement {
    static let name = "read_products"
    static let sql = "select * from flashsale.read_products($1::integer[])"
    let ids: [Int32]?

    func bind(to parameters: inout Parameters) {
      parameters.append(ids)
    }

    static func decode(_ row: inout Row) throws -> Product { try Product(id: row.decode(), &row) }
  }
}

extension Product {
  /// Reads the columns of `read_products` that follow the id.
  init(id: Int32, _ row: inout Row) throws {
    self.init(
      id: id, name: try row.decode(), price: try row.decode(), currency: try row.decode(),
      totalStock: try row.decode(), availableStock: try row.decode(), status: try row.decodeCase(),
      startsAt: try row.decodeIfPresent(), endsAt: try row.decodeIfPresent(),
      maximumQuantityPerHold: try row.decodeIfPresent(), maximumPerCustomer: try row.decodeIfPresent())
  }

  /// All products with their exact stock, ordered by id.
  ///
  /// - Throws: `PostgresError`.
  package static func all(in database: Pool) async throws -> [Product] {
    try await database.withConnection { try await ReadProducts().execute([.all], lane: .all, on: $0)[0] }
  }
}
