import Postgres

/// Whether everything holds that must be true of the data at any moment, as of one snapshot.
package struct Audit: Sendable {
  package struct Check: Sendable {
    package let name: String
    /// What must be true, in words.
    package let description: String
    /// How many rows break it.
    package let violations: Int64
  }

  package let checks: [Check]

  package var isClean: Bool { checks.allSatisfy { $0.violations == 0 } }

  /// Reads whole tables: takes the longer, the more holds and orders there are.
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
