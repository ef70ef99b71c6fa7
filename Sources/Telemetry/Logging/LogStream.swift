/// Where handlers that write lines of text write to: standard error, whole lines, with control characters escaped. What
/// clients and databases put into a message or an error forges no line.
package struct LogStream: TextOutputStream, Sendable {
  private let sink: @Sendable ([UInt8]) -> Void

  /// - Parameter write: receives each line, with its end.
  package init(write: @escaping @Sendable ([UInt8]) -> Void = JSONLogHandler.writeToStandardError) {
    sink = write
  }

  /// - Parameter line: with its end.
  package mutating func write(_ line: String) {
    let text = line.hasSuffix("\n") ? line.dropLast() : line[...]
    sink(Array((text.escapedForTerminal + "\n").utf8))
  }
}
