@preconcurrency import Glibc
import Secrets
import Synchronization

/// Reads secrets from files. Orchestrators and systemd provide secrets as files.
///
/// Each file is read once, because it may be a pipe.
final class SecretFiles: Sendable {
  /// Longer than any secret. A larger file is refused, because its path is probably wrong.
  private static let maximumBytes = 65_536

  private let texts = Mutex<[String: String]>([:])

  /// The text of the file, without white space at either end.
  ///
  /// - Parameter name: the setting that names the file.
  /// - Throws: a `Failure` that names the setting.
  func text(at path: String, from name: String) throws -> String {
    try texts.withLock { texts in
      if let text = texts[path] { return text }
      let text = try Self.read(path, name)
      texts[path] = text
      return text
    }
  }

  private static func read(_ path: String, _ name: String) throws -> String {
    guard let file = fopen(path, "re") else { throw Failure("\(name): cannot open '\(path)': \(systemError())") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: maximumBytes + 1)
    let count = fread(&bytes, 1, bytes.count, file)
    guard ferror(file) == 0 else { throw Failure("\(name): cannot read '\(path)': \(systemError())") }
    guard count <= maximumBytes else { throw Failure("\(name): '\(path)' has more than \(maximumBytes) bytes") }
    guard let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
      throw Failure("\(name): '\(path)' is not UTF-8")
    }
    let trimmed = text.trimmingWhiteSpace()
    guard !trimmed.isEmpty else { throw Failure("\(name): '\(path)' is empty") }
    return trimmed
  }

  private static func systemError() -> String { String(cString: strerror(errno)) }
}

extension StringProtocol {
  /// The text without white space and line breaks at either end.
  func trimmingWhiteSpace() -> String {
    let isSpace: (Unicode.Scalar) -> Bool = { $0.properties.isWhitespace }
    var scalars = Substring(self).unicodeScalars
    while let first = scalars.first, isSpace(first) { scalars.removeFirst() }
    while let last = scalars.last, isSpace(last) { scalars.removeLast() }
    return String(scalars)
  }
}
