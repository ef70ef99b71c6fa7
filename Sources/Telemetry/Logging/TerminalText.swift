extension StringProtocol {
  /// The text with visible escapes for control characters, format characters, and line and paragraph separators.
  ///
  /// Names and errors come from clients and databases. Without escapes, a line break could forge a line of a table, and
  /// a control sequence could change the screen.
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
  // U+200C and U+200D only join or separate letters and emoji.
  return scalar != "\u{200C}" && scalar != "\u{200D}"
}
