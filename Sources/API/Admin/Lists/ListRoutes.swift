import Checkout
import NIOCore
import Time

/// `GET /api/admin/orders` and `GET /api/admin/holds`: pages as JSON, or the whole selection as an export.
struct ListRoutes {
  let checkout: Checkout
  let draining: Draining
  private let exports = Exports()

  init(checkout: Checkout, draining: Draining) {
    self.checkout = checkout
    self.draining = draining
  }

  var routes: [AdminRoute] {
    [
      AdminRoute(.GET, "/api/admin/orders", .read) { try await list(ListedOrder.self, $0, $1) },
      AdminRoute(.GET, "/api/admin/holds", .read) { try await list(ListedHold.self, $0, $1) },
    ]
  }

  private static let json = "application/json"

  private func list<Row: ListRow>(
    _: Row.Type, _ request: Request, _ admin: AdminIdentity
  ) async throws -> Response {
    var query = QueryReader(request)
    let selection = Selection<Row>(
      productID: query.productID(), status: query.word("status", Row.Status.self), customerID: query.customerID(),
      createdAfter: query.timestamp("created_after"))
    let cursor = query.cursor { Row.cursor($0) }
    let format = query.word("format", ExportFormat.self)
    try query.requireValid()
    let types = [Self.json] + ExportFormat.allCases.map(\.mediaType)
    if let format { return try await export(selection, after: cursor, as: format, request, by: admin) }
    guard let type = Accept.preferred(of: types, request.headers.value(ofLowercased: "accept")) else {
      throw Problem.notAcceptable(types)
    }
    if let format = ExportFormat.allCases.first(where: { $0.mediaType == type }) {
      return try await export(selection, after: cursor, as: format, request, by: admin)
    }
    let page = try await checkout.page(of: selection, after: cursor)
    return .json { json in
      json.add(Row.listName, page.rows) { $1.add($0) }
      json.add("next_cursor", page.next.map { Row.cursorText($0) })
    }
  }

  /// The first page is read before the response begins. So a client gets a problem if the database is away.
  private func export<Row: ListRow>(
    _ selection: Selection<Row>, after cursor: ReservationID?, as format: ExportFormat, _ request: Request,
    by admin: AdminIdentity
  ) async throws -> Response {
    let place = try exports.begin()
    var list = try await checkout.wholeList(selection, after: cursor)
    let first = try await checkout.next(of: &list)
    let body = BodyStream(
      run: { [checkout, draining, list] write in
        var list = list
        var drain = DrainTime(draining)
        var bytes = format.head(of: Row.self)
        bytes.writeImmutableBuffer(format.encode(first ?? []))
        if bytes.readableBytes > 0 { try await write(bytes) }
        guard first != nil else { return }
        while let rows = try await checkout.next(of: &list) {
          // The key may have been revoked meanwhile. An error cuts the export, so that its client sees that it is not
          // complete.
          let isRefused = try await !admin.isStillValid()
          guard !isRefused, !place.isStopped, !drain.isOver else { throw CancellationError() }
          try await write(format.encode(rows))
        }
      },
      onInputClosed: { place.stop() })
    let file = "\(Row.listName).\(format.rawValue)"
    return Response(
      contentType: format.contentType,
      headers: [
        ("Content-Disposition", "attachment; filename=\"\(file)\""),
        // Tells nginx not to buffer the response. Otherwise it would store the export on its disk.
        ("X-Accel-Buffering", "no"),
      ], stream: body)
  }
}

/// The time that an export has left when the server drains. A long export must not delay the shutdown.
private struct DrainTime {
  private static let limit: Duration = .seconds(3)

  private let draining: Draining
  private var end: Moment?

  init(_ draining: Draining) { self.draining = draining }

  var isOver: Bool {
    mutating get {
      guard draining.isUnderWay else { return false }
      let end = end ?? .now + Self.limit
      self.end = end
      return end <= .now
    }
  }
}
