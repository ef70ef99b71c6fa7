import API
import ArgumentParser
import Checkout
@preconcurrency import Glibc
import NIOCore
import Postgres
import Time

/// The options of commands that list orders or holds.
struct ListOptions: ParsableArguments {
  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, csv, ndjson
  }

  @Option(help: "Only of this product.")
  var productID: Int32?
  @Option(help: "Only with this status.")
  var status: String?
  @Option(help: "Only of this customer.")
  var customerID: String?
  @Option(help: "Only what was created after this time, such as 2026-11-27T09:00:00Z.")
  var createdAfter: Timestamp?
  @Option(help: "table prints the newest 100; csv and ndjson print all, product by product.")
  var format = Format.table
  @OptionGroup var database: DatabaseOptions

  /// Prints the rows that the options select.
  ///
  /// - Parameters:
  ///   - header: the head of a table.
  ///   - cells: a row of the table.
  func list<Row: ListRow>(_: Row.Type, header: [String], cells: (Row) -> [String]) async throws {
    let selection = try selection(of: Row.self)
    try await withPool(try database.settings.database()) { pool in
      let format: ExportFormat
      switch self.format {
      case .table: return try await printNewest(selection, header, cells, from: pool)
      case .csv: format = .csv
      case .ndjson: format = .ndjson
      }
      try write(format.head(of: Row.self))
      var list = try await WholeList(selection, from: pool)
      while let rows = try await list.next(from: pool) { try write(format.encode(rows)) }
    }
  }

  private func selection<Row: ListRow>(of: Row.Type) throws -> Selection<Row> {
    let known = Row.Status.allCases.first { $0.rawValue == status }
    if status != nil, known == nil {
      let words = Row.Status.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--status must be one of: \(words)")
    }
    return Selection(productID: productID, status: known, customerID: customerID, createdAfter: createdAfter)
  }

  private func printNewest<Row: ListRow>(
    _ selection: Selection<Row>, _ header: [String], _ cells: (Row) -> [String], from pool: Pool
  ) async throws {
    var rows: [Row] = []
    var cursor: ReservationID?
    repeat {
      let page = try await Row.page(of: selection, after: cursor, from: pool)
      rows += page.rows
      cursor = page.next
    } while cursor != nil && rows.count < ListPage<Row>.size
    printTable(header, rows.prefix(ListPage<Row>.size).map(cells))
    if cursor != nil { fputs("There are more. --format csv prints all.\n", stderr) }
  }

  private func write(_ bytes: ByteBuffer) throws {
    let count = bytes.withUnsafeReadableBytes { fwrite($0.baseAddress, 1, $0.count, stdout) }
    // For example, the program that reads the output has ended.
    guard count == bytes.readableBytes, fflush(stdout) == 0 else { throw Failure("cannot write all of the output") }
  }
}
