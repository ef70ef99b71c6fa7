import FoundationEssentials
import Glibc
import Logging
import Synchronization

/// Writes one JSON object a line: `time` (RFC 3339), `level`, `label`, `message`, then the metadata, sorted by key.
package struct JSONLogHandler: LogHandler {
  package var logLevel: Logger.Level = .info
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?

  private let label: String
  private let write: @Sendable ([UInt8]) -> Void

  /// - Parameter write: receives each line, with its line feed.
  package init(
    label: String, metadataProvider: Logger.MetadataProvider? = nil,
    write: @escaping @Sendable ([UInt8]) -> Void = JSONLogHandler.writeToStandardError
  ) {
    self.label = label
    self.metadataProvider = metadataProvider
    self.write = write
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    // The later source wins, because it is more specific.
    var members = metadata
    if let provided = metadataProvider?.get() { members.merge(provided) { $1 } }
    if let given = event.metadata { members.merge(given) { $1 } }
    if let error = event.error { members["error"] = "\(error)" }

    var json = JSONText(capacity: Self.typicalLineBytes)
    json.raw(#"{"time":"#)
    json.string(Self.time.format(Date()))
    json.raw(#","level":"#)
    json.string(event.level.rawValue)
    json.raw(#","label":"#)
    json.string(label)
    json.raw(#","message":"#)
    json.string(event.message.description)
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      json.raw(",")
      // A member must not occur twice, because parsers differ on which one counts.
      json.string(Self.ownMembers.contains(name) ? "metadata." + name : name)
      json.raw(":")
      Self.add(value, to: &json)
    }
    json.raw("}\n")
    write(json.bytes)
  }

  private static let typicalLineBytes = 512
  private static let time = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
  private static let ownMembers: Set = ["time", "level", "label", "message"]

  private static func add(_ value: Logger.Metadata.Value, to json: inout JSONText) {
    switch value {
    case .string(let text): json.string(text)
    case .stringConvertible(let value): json.string(value.description)
    case .array(let values):
      json.raw("[")
      json.list(values) { add($0, to: &$1) }
      json.raw("]")
    case .dictionary(let members):
      json.raw("{")
      json.list(members.sorted { $0.key < $1.key }) { member, json in
        json.string(member.key)
        json.raw(":")
        add(member.value, to: &json)
      }
      json.raw("}")
    }
  }

  private static let standardErrorLock = Mutex(())

  /// Writes a line to standard error. Concurrent calls do not mix their lines. A line that cannot be written is lost.
  package static func writeToStandardError(_ line: [UInt8]) {
    standardErrorLock.withLock { _ in
      line.withUnsafeBytes { bytes in
        var rest = bytes[...]
        while !rest.isEmpty {
          let written = Glibc.write(STDERR_FILENO, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
          if written < 0, errno == EINTR { continue }
          guard written > 0 else { return }
          rest = rest.dropFirst(written)
        }
      }
    }
  }
}
