import Testing
import Time

@testable import Postgres

@Suite struct TimestampTests {
  private let earlier = Timestamp(microsecondsSince1970: -1)
  private let later = Timestamp(microsecondsSince1970: 1_500_000)

  @Test func `timestamps are ordered by time`() {
    #expect(earlier < later)
    #expect([later, earlier].min() == earlier)
    #expect(Set([earlier, later, Timestamp(microsecondsSince1970: -1)]).count == 2)
  }

  @Test func `the server's clock is decoded as a timestamp`() async throws {
    try await withConnection { connection, _ in
      let before = try await connection.execute(Now())[0]
      let after = try await connection.execute(Now())[0]
      #expect(before <= after)
      #expect(after.microsecondsSince1970 > 1_700_000_000_000_000)
    }
  }

  private struct Now: PreparedStatement {
    static let name = "now"
    static let sql = "select clock_timestamp()"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Timestamp { try row.decode() }
  }
}
