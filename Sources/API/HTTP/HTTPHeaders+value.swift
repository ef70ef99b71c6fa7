import NIOHTTP1

extension HTTPHeaders {
  /// The value of a field. Nil if there is no such field.
  ///
  /// White space around a value is not part of it, and the decoder does not remove it (RFC 9110, section 5.5). If the
  /// field occurs more than once, the values are joined (section 5.2).
  ///
  /// - Parameters:
  ///   - wanted: the field's name in lower case.
  ///   - separator: joins the values of several fields.
  func value(ofLowercased wanted: String, separator: String = ", ") -> String? {
    var joined: String?
    for (name, value) in self where name.isName(wanted) {
      let value = value.trimmingWhiteSpace()
      joined = joined.map { $0 + separator + value } ?? value
    }
    return joined
  }
}

extension String {
  /// The text without spaces and tabs at either end.
  func trimmingWhiteSpace() -> String {
    guard utf8.first?.isSpaceOrTab == true || utf8.last?.isSpaceOrTab == true else { return self }
    return String(decoding: self[...].utf8.trimmed, as: UTF8.self)
  }

  /// Whether the text is this field name. Field names are case-insensitive (RFC 9110, section 5.1).
  ///
  /// - Parameter wanted: a name in lower case.
  fileprivate func isName(_ wanted: String) -> Bool {
    guard utf8.count == wanted.utf8.count else { return false }
    var wanted = wanted
    return wanted.withUTF8(utf8.isWord)
  }
}
