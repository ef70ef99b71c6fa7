extension StringProtocol {
  /// The text as a terminal may safely show it: on one line, with visible escapes for what would move the cursor, change
  /// the direction of writing, or not be seen at all.
  ///
  /// Names and errors come from clients and databases. Unescaped, a line break in one forges a line of a table, and an
  /// escape sequence rewrites the screen.
  package var escapedForTerminal: String {
    guard unicodeScalars.contains(where: isUnsafe) else { return String(self) }
    var result = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where isUnsafe(scalar):
        result += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

private func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
  if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7f }
  switch scalar.properties.generalCategory {
  // The format characters include the bidirectional controls.
  case .control, .format, .lineSeparator, .paragraphSeparator: break
  default: return false
  }
  // They join letters and emoji, and change nothing else.
  return scalar != "\u{200C}" && scalar != "\u{200D}"
}
