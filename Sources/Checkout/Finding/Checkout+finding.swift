/// Lists of orders and holds, for operators. All calls throw `CheckoutError`.
extension Checkout {
  /// A page of a list, newest first.
  ///
  /// - Parameter cursor: the `next` of another page; nil for the first page.
  package func page<Row: Listed>(
    of selection: Selection<Row>, after cursor: ReservationID? = nil
  ) async throws -> ListPage<Row> {
    var selection = selection
    // All servers of a shop have one setting. After it was shortened, an order of a hold that lived more than ten
    // minutes longer may be missing from a page. It is not missing from a whole list.
    selection.longestHold = useCases.holdTimeToLive
    return try await call(isRead: true) { [selection] in try await Row.page(of: selection, after: cursor, from: $0) }
  }

  /// A whole selection. See `WholeList`.
  ///
  /// - Parameter cursor: the last row of another list of this selection, which ended early; nil to begin at the
  ///   beginning.
  package func wholeList<Row: Listed>(
    _ selection: Selection<Row>, after cursor: ReservationID? = nil
  ) async throws -> WholeList<Row> {
    try await call(isRead: true) { try await WholeList(selection, after: cursor, from: $0) }
  }

  /// The next rows of a whole list, at least one. Nil at the end.
  package func next<Row: Listed>(of list: inout WholeList<Row>) async throws -> [Row]? {
    try await call(isRead: true) { try await list.next(from: $0) }
  }
}
