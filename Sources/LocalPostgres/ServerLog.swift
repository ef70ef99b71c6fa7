import Glibc

/// The log file of initdb and the server.
struct ServerLog: Sendable {
  /// A larger log becomes `postgres.log.1` at the next start. An earlier `postgres.log.1` is replaced.
  private static let bytesMax = 8 << 20

  /// Open until the end, so it can be read after an ephemeral directory is removed.
  private let file: Descriptor
  /// The offset in bytes at which the messages of this start begin.
  private let start: Int

  /// - Throws: ``LocalPostgresError`` when the file cannot be opened.
  init(path: String) throws {
    var status = stat()
    if stat(path, &status) == 0, status.st_size > Self.bytesMax { rename(path, path + ".1") }
    let number = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw LocalPostgresError(cannot: "open \(path)") }
    file = Descriptor(number)
    start = Int(lseek(number, 0, SEEK_END))
  }

  /// The last error since this start, else the last line. Nil when the log has no line since this start.
  func complaint() -> String? {
    guard let number = file.raw else { return nil }
    // The last 64 KiB are enough: a server writes the error that ends it shortly before its end.
    let end = Int(lseek(number, 0, SEEK_END))
    let lines = text(of: number, from: max(start, end - 65_536)).split(separator: "\n")
    let line = lines.last { line in ["FATAL:", "PANIC:", "error:"].contains { line.contains($0) } } ?? lines.last
    return line.map(String.init)
  }
}
