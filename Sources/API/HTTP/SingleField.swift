import NIOHTTP1

/// A header field that must occur at most once.
///
/// Programs disagree on which of two fields counts. So the server uses neither.
enum SingleField: Sendable, Equatable {
  case absent
  case value(String)
  case repeated

  /// Nil if the field is absent or repeated.
  var value: String? { if case .value(let value) = self { value } else { nil } }
}

extension HTTPHeaders {
  /// A field that must occur at most once.
  ///
  /// - Parameter wanted: the field's name in lower case.
  func single(ofLowercased wanted: StaticString) -> SingleField {
    var field = SingleField.absent
    for (name, value) in self where name.utf8.count == wanted.utf8CodeUnitCount && name.utf8.isWord(wanted) {
      field = if case .absent = field { .value(value) } else { .repeated }
    }
    return field
  }
}
