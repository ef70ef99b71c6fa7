import HTTPTypes
import NIOHTTP1

extension HTTPHeaders {
  /// The value of a field, without the white space around it, which the decoder leaves and which is no part of it
  /// (RFC 9110, section 5.5). Of several fields, their values with commas in between (section 5.2). Nil when there is none.
  subscript(name: HTTPField.Name) -> String? { value(ofLowercased: name.canonicalName) }

  /// - Parameter wanted: the name in lower case.
  func value(ofLowercased wanted: String) -> String? {
    var joined: String?
    for (name, value) in self where name.utf8.count == wanted.utf8.count && name.lowercased() == wanted {
      let value = value.trimmingWhiteSpace()
      joined = joined.map { $0 + ", " + value } ?? value
    }
    return joined
  }
}

extension String {
  /// Without the white space around a value, which is no part of it.
  func trimmingWhiteSpace() -> String {
    func isSpace(_ byte: UInt8?) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    guard isSpace(utf8.first) || isSpace(utf8.last) else { return self }
    var text = self[...]
    while isSpace(text.utf8.first) { text.removeFirst() }
    while isSpace(text.utf8.last) { text.removeLast() }
    return String(text)
  }
}
