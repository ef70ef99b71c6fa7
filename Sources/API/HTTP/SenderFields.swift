/// The header fields that tell who sends a request.
struct SenderFields: Sendable {
  /// The origin of the page that sends the request (https://fetch.spec.whatwg.org/#origin-header).
  var origin = SingleField.absent
  /// The credentials of the client (RFC 9110, section 11.6.2).
  var authorization = SingleField.absent
}

/// A header field that must occur at most once.
///
/// Programs disagree on which of two fields counts. So the server uses neither.
enum SingleField: Sendable, Equatable {
  case absent
  case value(String)
  case repeated

  mutating func add(_ value: String) {
    self = if case .absent = self { .value(value) } else { .repeated }
  }

  /// Nil if the field is absent or repeated.
  var value: String? { if case .value(let value) = self { value } else { nil } }
}
