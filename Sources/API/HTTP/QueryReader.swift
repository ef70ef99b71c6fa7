/// Reads the query parameters of a request and collects all errors, so that the client gets them in one response.
///
/// A method that reads a parameter returns nil if the parameter is absent. It also returns nil if the parameter is
/// invalid, and adds an error.
struct QueryReader {
  private let request: Request
  private var errors: [Problem.InvalidMember] = []

  init(_ request: Request) {
    self.request = request
  }

  /// The value that `parse` makes of the text.
  ///
  /// - Parameter expected: what the text must be, such as `must be the id of a product`.
  mutating func value<Value>(_ name: String, _ expected: String, _ parse: (String) -> Value?) -> Value? {
    guard let text = request.query(name) else { return nil }
    let value = parse(text)
    if value == nil { errors.append(Problem.InvalidMember(pointer: "/" + name, detail: expected)) }
    return value
  }

  /// A raw value of an enumeration.
  mutating func word<Value: RawRepresentable<String> & CaseIterable>(
    _ name: String, _ type: Value.Type = Value.self
  ) -> Value? {
    let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
    return value(name, "must be one of: \(words)") { text in Value.allCases.first { $0.rawValue.isVerbatim(text) } }
  }

  mutating func productID(_ name: String) -> Int32? {
    value(name, "must be the id of a product") { Int32($0).flatMap { $0 >= 1 ? $0 : nil } }
  }

  /// The position after the last entry of a page.
  mutating func cursor<Cursor>(_ name: String, _ parse: (String) -> Cursor?) -> Cursor? {
    value(name, "must be a next_cursor of another page", parse)
  }

  /// - Throws: `Problem.validation` with all errors.
  func requireValid() throws {
    guard errors.isEmpty else { throw Problem.validation(errors) }
  }
}
