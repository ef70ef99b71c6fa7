import Postgres
import Time

/// Sends to an endpoint what it missed since a time, and enables it.
///
/// Each step is a transaction that reads a page of events, so deliveries and new products wait for one page at most. The
/// database has the place that the recovery has reached. So after a crash or a lost answer, the same request goes on:
///
///     begin: enables the endpoint, and stores the start; goes on with a recovery that is under way
///     step:  sends again what was missed among the next events, and stores their end
///
/// Two requests at once read one page after the other. Neither sends an event twice.
package struct RecoverEndpoint: Sendable {
  package struct Progress: Sendable, Equatable {
    /// The number of deliveries that wait for the endpoint now.
    package let pending: Int64
    /// False when events are left. The same request goes on.
    package let isComplete: Bool
  }

  let id: EndpointID
  let since: Timestamp
  let author: ChangeAuthor
  /// The most events of a step, 1 to 10,000.
  var stepSize: Int32 = 2000
  /// No step begins after it. A client waits for one response so long.
  var timeLimit: Duration = .seconds(3)

  /// - Returns: nil for an unknown endpoint.
  /// - Throws: `PostgresError`, `CancellationError`. A second run goes on.
  func run(on database: Pool) async throws -> Progress? {
    let end = Moment.now + timeLimit
    guard try await database.transactOnce(Begin(id: id, since: since, author: author))[0] else { return nil }
    var isComplete = false
    repeat {
      guard let step = try await database.transactOnce(Step(id: id, limit: stepSize)).first else { return nil }
      isComplete = step
    } while !isComplete && Moment.now < end
    return Progress(pending: try await database.execute(CountPending(id: id))[0], isComplete: isComplete)
  }

  /// Returns whether the endpoint exists.
  private struct Begin: PreparedStatement {
    static let name = "begin_recovery"
    static let sql = "select * from flashsale.begin_recovery($1::uuid, $2::timestamptz, $3::text, $4::text)"
    let id: EndpointID
    let since: Timestamp
    let author: ChangeAuthor

    func bind(to parameters: inout Parameters) {
      parameters.append(id.uuid)
      parameters.append(since)
      parameters.append(author.name)
      parameters.append(author.requestID)
    }

    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  /// Returns whether no event is left.
  private struct Step: PreparedStatement {
    static let name = "recover_deliveries"
    static let sql = "select * from flashsale.recover_deliveries($1::uuid, $2::integer)"
    let id: EndpointID
    let limit: Int32

    func bind(to parameters: inout Parameters) {
      parameters.append(id.uuid)
      parameters.append(limit)
    }

    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  private struct CountPending: PreparedStatement {
    static let name = "count_pending_deliveries"
    static let sql = "select * from flashsale.count_pending_deliveries($1::uuid)"
    static let isCancellable = true
    let id: EndpointID

    func bind(to parameters: inout Parameters) { parameters.append(id.uuid) }
    static func decode(_ row: inout Row) throws -> Int64 { try row.decode() }
  }
}
