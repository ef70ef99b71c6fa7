import Glibc
import Synchronization

/// The text of a file, at most its first 64 KiB. Nil when the file cannot be read.
func text(ofFile path: String) -> String? {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  return text(of: file, from: 0)
}

/// The text of an open file from `offset`, at most 64 KiB. Empty after an error.
func text(of file: Int32, from offset: Int) -> String {
  let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
    count = max(0, pread(file, buffer.baseAddress, buffer.count, off_t(offset)))
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// The names of a directory's entries, in no order.
///
/// - Throws: ``LocalPostgresError`` when the directory cannot be read.
func names(in directory: String) throws -> [String] {
  guard let stream = opendir(directory) else { throw LocalPostgresError(cannot: "read the directory \(directory)") }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
      pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names
}

/// The arguments that a process was started with.
///
/// Empty when no process has this number, and when the process is ending or a zombie. The kernel drops the arguments
/// before it closes the process's descriptors, and thus before it releases the locks.
func commandLine(of process: Int32) -> [Substring] {
  // A zero byte ends each argument (proc(5)).
  text(ofFile: "/proc/\(process)/cmdline")?.split(separator: "\0") ?? []
}

/// The device and inode of a file, its owner and its write permission.
struct FileIdentity: Equatable {
  let device: dev_t
  let inode: ino_t
  let owner: uid_t
  let group: gid_t
  let isWritableByAll: Bool

  /// Nil when the file does not exist or cannot be reached.
  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  /// Nil when the descriptor is not open.
  init?(descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  private init(_ status: stat) {
    device = status.st_dev
    inode = status.st_ino
    owner = status.st_uid
    group = status.st_gid
    isWritableByAll = status.st_mode & 0o002 != 0
  }
}

/// A file descriptor that is closed once, at the latest at deinitialization.
final class Descriptor: Sendable {
  private let number: Mutex<Int32?>

  init(_ number: Int32) {
    self.number = Mutex(number)
  }

  deinit { close() }

  /// Nil after ``close()``.
  var raw: Int32? { number.withLock { $0 } }

  func close() {
    number.withLock { number in
      if let open = number { Glibc.close(open) }
      number = nil
    }
  }
}
