import NIOHTTP1

extension HTTPHeaders {
  /// The value of a field, without the white space around it, which the decoder leaves and which is no part of it
  /// (RFC 9110, section 5.5). Of several fields, their values with commas in between (section 5.2). Nil when there is none.
  ///
  /// - Parameters:
  ///   - wanted: the name in lower case.
  ///   - separator: what to put between the values of several fields.
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
  /// Without the white space around a value, which is no part of it.
  func trimmingWhiteSpace() -> String {
    guard utf8.first?.isSpaceOrTab == true || utf8.last?.isSpaceOrTab == true else { return self }
    return String(decoding: self[...].utf8.trimmed, as: UTF8.self)
  }

  /// Whether it is this name of a header field, in upper or lower case.
  ///
  /// - Parameter wanted: in lower case.
  fileprivate func isName(_ wanted: String) -> Bool {
    guard utf8.count == wanted.utf8.count else { return false }
    var wanted = wanted
    return wanted.withUTF8(utf8.isWord)
  }
}
