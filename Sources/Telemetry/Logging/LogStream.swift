/// The output of text log handlers: standard error, in whole lines, with control characters escaped.
///
/// Messages and errors contain texts of clients and databases. Escapes keep these from forging a line.
package struct LogStream: TextOutputStream, Sendable {
  private let sink: @Sendable ([UInt8]) -> Void

  /// - Parameter write: receives each line, with its line feed.
  package init(write: @escaping @Sendable ([UInt8]) -> Void = JSONLogHandler.writeToStandardError) {
    sink = write
  }

  /// - Parameter line: a line, with or without its line feed.
  package mutating func write(_ line: String) {
    let text = line.hasSuffix("\n") ? line.dropLast() : line[...]
    sink(Array((text.escapedForTerminal + "\n").utf8))
  }
}
