import Postgres

/// The results of checking every invariant of the data in one snapshot.
package struct Audit: Sendable {
  package struct Check: Sendable {
    package let name: String
    /// The invariant, as a clause.
    package let description: String
    /// The number of rows that break the invariant.
    package let violations: Int64
  }

  package let checks: [Check]

  package var isClean: Bool { checks.allSatisfy { $0.violations == 0 } }

  /// Reads whole tables, so the time grows with the number of holds and orders.
  ///
  /// - Throws: `PostgresError`, `CancellationError`.
  package static func run(on database: Pool) async throws -> Audit {
    Audit(checks: try await database.execute(CheckInvariants()))
  }

  private struct CheckInvariants: PreparedStatement {
    static let name = "check_invariants"
    static let sql = "select * from flashsale.check_invariants()"
    static let isCancellable = true

    func bind(to parameters: inout Parameters) {}

    static func decode(_ row: inout Row) throws -> Check {
      Check(name: try row.decode(), description: try row.decode(), violations: try row.decode())
    }
  }
}
