import FoundationEssentials
import Postgres
import Time

/// Reads the shop. One query serves all requests that arrived since the last query started.
struct ReadShop: RepeatableUseCase {
  static let isRead = true
  /// Errors stay as they are, because `Shop.reason` needs the driver's error.
  static func translating(_ error: any Error) -> any Error { error }

  typealias Outcome = Shop

  enum Request { case whole }
  func lane(of request: Request) -> Request { request }

  func execute(_ requests: [Request], lane: Request, on connection: isolated Connection) throws -> [Shop] {
    let shop = try Shop(try connection.run(Statement()))
    return requests.map { _ in shop }
  }

  private struct Statement: PreparedStatement {
    static let name = "read_shop"
    static let sql = "select * from flashsale.read_shop()"

    func bind(to parameters: inout Parameters) {}

    static func decode(_ row: inout Row) throws -> ShopRow { try ShopRow(&row) }
  }
}

/// One row of `read_shop`. Exactly one member is not nil.
private struct ShopRow: Sendable {
  struct Whole: Sendable {
    let asOf: Timestamp
    let jobLateness: Duration
    let moreProducts: Int64
    let refundDue: Int64
    let amountMismatch: Int64
    let parked: Int64
  }

  let whole: Whole?
  let event: Shop.WaitingEvent?
  let endpoint: Shop.EndpointFigures?
  let product: Shop.ProductFigures?

  /// Reads all columns.
  init(_ row: inout Row) throws {
    whole = try Whole(&row)
    event = try Shop.WaitingEvent(&row)
    endpoint = try Shop.EndpointFigures(&row)
    product = try Shop.ProductFigures(&row)
  }
}

extension ShopRow.Whole {
  /// Reads six columns. Nil when the first is null.
  fileprivate init?(_ row: inout Row) throws {
    guard let asOf = try row.decodeIfPresent(Timestamp.self) else {
      row.skip(5)
      return nil
    }
    self.init(
      asOf: asOf, jobLateness: .microseconds(try row.decode(Int64.self)), moreProducts: try row.decode(),
      refundDue: try row.decode(), amountMismatch: try row.decode(), parked: try row.decode())
  }
}

extension Shop.WaitingEvent {
  /// Reads six columns. Nil when the first is null.
  fileprivate init?(_ row: inout Row) throws {
    guard let key = try row.decodeIfPresent(String.self) else {
      row.skip(5)
      return nil
    }
    self.init(
      idempotencyKey: key, orderID: try row.decodeReservationID(), verdict: try row.decodeCase(),
      amount: try row.decodeIfPresent(), currency: try row.decodeIfPresent(), receivedAt: try row.decode())
  }
}

extension Shop.EndpointFigures {
  /// Reads seven columns. Nil when the first is null.
  fileprivate init?(_ row: inout Row) throws {
    guard let id = try row.decodeIfPresent(UUID.self) else {
      row.skip(6)
      return nil
    }
    self.init(
      id: EndpointID(id), url: try row.decode(), status: try row.decodeCase(), failures: try row.decode(),
      pending: try row.decode(), oldestAge: try row.decodeIfPresent(Int64.self).map { .microseconds($0) },
      lastError: try row.decodeIfPresent())
  }
}

extension Shop.ProductFigures {
  /// Reads 17 columns. Nil when the first is null.
  fileprivate init?(_ row: inout Row) throws {
    guard let id = try row.decodeIfPresent(Int32.self) else {
      row.skip(16)
      return nil
    }
    self.init(
      product: try Product(id: id, &row), heldStock: try row.decode(), unpaidStock: try row.decode(),
      paidStock: try row.decode(), holds: try row.decode(), orders: try row.decode(), payments: try row.decode())
  }
}

extension Shop {
  fileprivate init(_ rows: [ShopRow]) throws {
    guard let whole = rows.first?.whole else { throw UnknownValue(description: "read_shop returned no shop") }
    let moneyWaiting = MoneyWaiting(
      refundDue: whole.refundDue, amountMismatch: whole.amountMismatch, parked: whole.parked,
      events: rows.compactMap(\.event))
    self.init(
      asOf: whole.asOf, jobLateness: whole.jobLateness, moneyWaiting: moneyWaiting,
      endpoints: rows.compactMap(\.endpoint), products: rows.compactMap(\.product), moreProducts: whole.moreProducts)
  }
}

extension Shop.Reading {
  package static let noAnswer = "The database does not answer in time."

  /// Describes the error of a read.
  init(_ error: any Error) {
    self =
      switch error {
      case PostgresError.cannotConnect, PostgresError.poolUnavailable: .away(reason: Readiness.Reason(error).text)
      case PostgresError.server(let refusal) where refusal.isLockTimeout || refusal.sqlState == "42501":
        .away(reason: Readiness.Reason(error).text)
      case PostgresError.server(let refusal):
        .away(reason: "The database refuses to read the shop (SQLSTATE \(refusal.sqlState)).")
      default: .away(reason: Self.noAnswer)
      }
  }
}
