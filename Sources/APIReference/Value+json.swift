extension Value {
  /// The value as JSON on one line, without spaces.
  var json: String {
    switch self {
    case .list(let values): "[" + values.map(\.json).joined(separator: ",") + "]"
    case .mapping(let members):
      "{" + members.map { "\(Self.quoted($0.name)):\($0.value.json)" }.joined(separator: ",") + "}"
    default: scalarJSON
    }
  }

  /// The value as JSON with one member or item a line.
  func prettyJSON(indent: String = "") -> String {
    let inner = indent + "  "
    func lines(_ parts: [String], _ open: String, _ close: String) -> String {
      parts.isEmpty
        ? open + close : open + "\n" + parts.map { inner + $0 }.joined(separator: ",\n") + "\n" + indent + close
    }
    switch self {
    case .list(let values): return lines(values.map { $0.prettyJSON(indent: inner) }, "[", "]")
    case .mapping(let members):
      return lines(
        members.map { "\(Self.quoted($0.name)): \($0.value.prettyJSON(indent: inner))" }, "{", "}")
    default: return scalarJSON
    }
  }

  /// A scalar as a person writes it: a text without quotation marks.
  var plainText: String { text ?? json }

  private var scalarJSON: String {
    switch self {
    case .flag(let flag): "\(flag)"
    case .integer(let integer): "\(integer)"
    case .number(let number): "\(number)"
    case .text(let text): Self.quoted(text)
    case .null, .list, .mapping: "null"
    }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
