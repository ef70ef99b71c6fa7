import Checkout
import NIOCore
import Telemetry

/// The text of a whole list: one row a line.
package enum ExportFormat: String, CaseIterable, Sendable {
  /// Comma-separated values (RFC 4180). The first line has the names of the members.
  case csv
  /// JSON objects with a line feed after each (https://github.com/ndjson/ndjson-spec).
  case ndjson

  var mediaType: String {
    switch self {
    case .csv: "text/csv"
    case .ndjson: "application/x-ndjson"
    }
  }

  /// The value of `Content-Type`.
  var contentType: String {
    switch self {
    case .csv: "text/csv; charset=utf-8; header=present"
    case .ndjson: mediaType
    }
  }

  /// The text before the first row. Empty if there is none.
  package func head<Row: ListRow>(of: Row.Type) -> ByteBuffer {
    guard self == .csv else { return ByteBuffer() }
    var line = CSVLine()
    for member in Row.members { line.add(.text("\(member.name)")) }
    return ByteBuffer(bytes: line.finished())
  }

  package func encode<Row: ListRow>(_ rows: [Row]) -> ByteBuffer {
    var buffer = ByteBufferAllocator().buffer(capacity: rows.count * 300)  // a usual row fits
    for row in rows {
      switch self {
      case .csv:
        var line = CSVLine()
        for member in Row.members { line.add(member.value(row)) }
        buffer.writeBytes(line.finished())
      case .ndjson:
        var object = JSONObject()
        object.add(row)
        buffer.writeImmutableBuffer(object.finished())
        buffer.writeInteger(UInt8(ascii: "\n"))
      }
    }
    return buffer
  }
}

/// One line of CSV (RFC 4180).
struct CSVLine {
  private var bytes: [UInt8] = []
  private var isEmpty = true

  init() { bytes.reserveCapacity(300) }

  mutating func add(_ value: ListValue) {
    if !isEmpty { bytes.append(UInt8(ascii: ",")) }
    isEmpty = false
    switch value {
    case .text(let text?): add(text)
    case .number(let number): bytes.append(contentsOf: number.description.utf8)
    case .object(let json?): add(json)
    case .text(nil), .object(nil): break
    }
  }

  consuming func finished() -> [UInt8] {
    bytes.append(contentsOf: "\r\n".utf8)
    return bytes
  }

  /// A spreadsheet runs a cell that begins like a formula, and a buyer can choose a customer id or metadata. An apostrophe
  /// before it makes it a text (OWASP, "CSV Injection").
  private mutating func add(_ text: String) {
    let needsQuotes = text.utf8.contains { Self.special.contains($0) }
    if needsQuotes { bytes.append(UInt8(ascii: "\"")) }
    if let first = text.utf8.first, Self.formulaStarts.contains(first) { bytes.append(UInt8(ascii: "'")) }
    if needsQuotes {
      for byte in text.utf8 {
        bytes.append(byte)
        if byte == UInt8(ascii: "\"") { bytes.append(byte) }
      }
      bytes.append(UInt8(ascii: "\""))
    } else {
      bytes.append(contentsOf: text.utf8)
    }
  }

  private static let special = Array(",\"\r\n".utf8)
  private static let formulaStarts = Array("=+-@\t\r".utf8)
}
