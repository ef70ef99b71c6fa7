import Postgres
import Time

/// Deletes an endpoint, then its pending deliveries in steps. Each step is a transaction.
///
/// After the first one, no delivery is made or sent. So the endpoint is deleted even if the steps end early, after a crash or
/// at the time limit: `remove_old` removes the rest.
struct DeleteEndpoint: Sendable {
  let id: EndpointID
  let author: ChangeAuthor
  /// The most deliveries of a step, 1 to 10,000.
  var stepSize: Int32 = 2000
  /// No step begins after it. A client waits for the response so long.
  var timeLimit: Duration = .seconds(3)

  /// - Returns: whether there was an endpoint.
  /// - Throws: `PostgresError`, `CancellationError`.
  func run(on database: Pool) async throws -> Bool {
    let end = Moment.now + timeLimit
    guard try await database.transact(Removal(id: id, author: author))[0] else { return false }
    // An error must not hide that the endpoint is deleted.
    while Moment.now < end, let removed = try? await database.transact(Step(id: id, limit: stepSize))[0],
      removed == stepSize
    {}
    return true
  }

  /// Returns whether there was an endpoint.
  private struct Removal: PreparedStatement {
    static let name = "delete_endpoint"
    static let sql = "select * from flashsale.delete_endpoint($1::uuid, $2::text, $3::text)"
    let id: EndpointID
    let author: ChangeAuthor

    func bind(to parameters: inout Parameters) {
      parameters.append(id.uuid)
      parameters.append(author.name)
      parameters.append(author.requestID)
    }

    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  /// Returns how many deliveries it removed.
  private struct Step: PreparedStatement {
    static let name = "remove_deliveries"
    static let sql = "select * from flashsale.remove_deliveries($1::uuid, $2::integer)"
    let id: EndpointID
    let limit: Int32

    func bind(to parameters: inout Parameters) {
      parameters.append(id.uuid)
      parameters.append(limit)
    }

    static func decode(_ row: inout Row) throws -> Int32 { try row.decode() }
  }
}
