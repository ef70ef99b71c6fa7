import Glibc

/// The file that initdb and the server write to.
struct ServerLog: Sendable {
  /// Beyond this a log is set aside as `postgres.log.1` at the next start, and the one before it is dropped.
  private static let bytesMax = 8 << 20

  /// Kept open, so that it can still be read when an ephemeral directory is gone.
  private let file: Descriptor
  /// Where the messages of this start begin.
  private let start: Int

  /// - Throws: ``LocalPostgresError`` when it cannot be opened.
  init(path: String) throws {
    var status = stat()
    if stat(path, &status) == 0, status.st_size > Self.bytesMax { rename(path, path + ".1") }
    let number = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw LocalPostgresError(cannot: "open \(path)") }
    file = Descriptor(number)
    start = Int(lseek(number, 0, SEEK_END))
  }

  /// The line that best says what went wrong since this start: the last error, else the last line; nil when there
  /// is none.
  func complaint() -> String? {
    guard let number = file.raw else { return nil }
    // An error that ends a server is among the last things that it writes.
    let end = Int(lseek(number, 0, SEEK_END))
    let lines = text(of: number, from: max(start, end - 65_536)).split(separator: "\n")
    let line = lines.last { line in ["FATAL:", "PANIC:", "error:"].contains { line.contains($0) } } ?? lines.last
    return line.map(String.init)
  }
}
