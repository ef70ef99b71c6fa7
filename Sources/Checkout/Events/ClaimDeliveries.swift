import FoundationEssentials
import Postgres
import Secrets

/// Leases deliveries that are due. The lease lasts 30 seconds. The last row has no delivery.
struct ClaimDeliveries: PreparedStatement {
  static let name = "claim_deliveries"
  static let sql = "select * from flashsale.claim_deliveries($1::uuid, $2::integer)"

  enum Answer: Sendable {
    case delivery(Delivery)
    /// - Parameters:
    ///   - untilNext: the time until the next delivery is due; nil when none is pending.
    ///   - hasEndpoints: whether any endpoint exists.
    case end(untilNext: Duration?, hasEndpoints: Bool)
  }

  let leaseID: UUID
  /// 1 to 10,000.
  let limit: Int32

  func bind(to parameters: inout Parameters) {
    parameters.append(leaseID)
    parameters.append(limit)
  }

  static func decode(_ row: inout Row) throws -> Answer {
    guard let productID = try row.decodeIfPresent(Int32.self) else {
      row.skip(6)
      let untilNext = try row.decodeIfPresent(Int64.self).map { Duration.microseconds($0) }
      return .end(untilNext: untilNext, hasEndpoints: try row.decode())
    }
    return .delivery(
      Delivery(
        productID: productID, eventID: try row.decode(), endpointID: try row.decode(), url: try row.decode(),
        secrets: try row.decode([String].self).map { Secret($0) }, attempt: try row.decode(), body: try row.decode()))
  }
}

/// Records the results of leased deliveries. A result counts only while its lease stands.
struct RecordDeliveries: PreparedStatement {
  static let name = "record_deliveries"
  static let sql = """
    select flashsale.record_deliveries(
      $1::uuid, $2::integer[], $3::uuid[], $4::uuid[], $5::integer[], $6::text[], $7::bigint[])
    """

  let leaseID: UUID
  /// At least one.
  let results: [DeliveryResult]

  func bind(to parameters: inout Parameters) {
    parameters.append(leaseID)
    parameters.append(results.map(\.productID))
    parameters.append(results.map(\.eventID))
    parameters.append(results.map(\.endpointID))
    parameters.append(results.map(\.statusCode))
    // PostgreSQL has no U+0000 in text.
    parameters.append(results.map { $0.error?.replacing("\0", with: " ") })
    parameters.append(results.map { $0.retryAfter.map(Self.microseconds) })
  }

  /// A day at most, so that the number fits.
  private static func microseconds(_ duration: Duration) -> Int64 {
    Int64(max(.zero, min(duration, .seconds(24 * 3600))) / .microseconds(1))
  }

  static func decode(_ row: inout Row) throws {}
}
