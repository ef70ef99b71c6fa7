import Checkout
import Foundation
import Time

/// Reads the members of a request's query and collects all errors, so that the client gets them in one response. Other
/// members of the query are ignored.
///
/// A method that reads a member returns nil if the member is absent. If it is invalid, it also adds an error.
struct QueryReader {
  private let items: [URLQueryItem]
  private var errors: [Problem.InvalidMember] = []

  init(_ request: Request) {
    items = request.queryItems
  }

  /// - Parameters:
  ///   - detail: what is wrong with a value for which `parse` returns nil.
  ///   - parse: reads the percent-decoded value. If the member occurs more than once, the first one.
  mutating func value<Value>(
    _ name: String, _ detail: @autoclosure () -> String, _ parse: (String) -> Value?
  ) -> Value? {
    guard let item = items.first(where: { $0.name.isVerbatim(name) }) else { return nil }
    let value = parse(item.value ?? "")
    if value == nil { errors.append(Problem.InvalidMember(pointer: "/" + name, detail: detail())) }
    return value
  }

  /// A raw value of an enumeration.
  mutating func word<Value: RawRepresentable<String> & CaseIterable>(
    _ name: String, _ type: Value.Type = Value.self
  ) -> Value? {
    value(name, "must be one of: \(Value.allCases.map(\.rawValue).joined(separator: ", "))") { text in
      Value.allCases.first { $0.rawValue.isVerbatim(text) }
    }
  }

  mutating func productID() -> Int32? {
    value("product_id", "must be the id of a product") { text in Int32(text).flatMap { $0 >= 1 ? $0 : nil } }
  }

  /// The shop's id of a customer: 1 to 255 Unicode scalars. PostgreSQL cannot store U+0000.
  mutating func customerID() -> String? {
    value("customer_id", "must have 1 to 255 characters") { text in
      1...255 ~= text.unicodeScalars.count && !text.unicodeScalars.contains("\0") ? text : nil
    }
  }

  mutating func timestamp(_ name: String) -> Timestamp? {
    value(name, "must be a time such as 2026-11-27T09:00:00Z (RFC 3339)") { Timestamp(rfc3339: $0) }
  }

  mutating func cursor<Cursor>(_ parse: (String) -> Cursor?) -> Cursor? {
    value("cursor", "must be a next_cursor of another page", parse)
  }

  /// - Throws: `Problem.validation` with all errors.
  func requireValid() throws {
    guard errors.isEmpty else { throw Problem.validation(errors) }
  }
}
