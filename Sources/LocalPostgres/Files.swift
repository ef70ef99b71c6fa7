import Glibc
import Synchronization

// The few calls to the file system that the module needs; all are short.

/// The whole of a small text file; nil when it cannot be read, which for most files here means that it is gone.
func text(ofFile path: String) -> String? {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  return text(of: file, from: 0)
}

/// What can be read from `offset` on, at most 64 KiB.
func text(of file: Int32, from offset: Int) -> String? {
  let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
    count = max(0, pread(file, buffer.baseAddress, buffer.count, off_t(offset)))
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// The names of a directory's entries, in no order.
///
/// - Throws: ``LocalPostgresError`` when it cannot be read.
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

/// Whether there is such a process, of whomever. One that has ended, but was not waited for, does not count: in a
/// container whose first process waits for nobody it stays for ever.
///
/// - Parameter name: counts only a process of that name.
func isRunning(process: pid_t, name: String? = nil) -> Bool {
  // proc(5): number, name in parentheses, state. The name may hold anything.
  guard let status = text(ofFile: "/proc/\(process)/stat"), let start = status.firstIndex(of: "("),
    let end = status.lastIndex(of: ")"), !["Z", "X"].contains(status[end...].dropFirst(2).first)
  else { return false }
  return name == nil || status[start..<end].dropFirst() == name!
}

/// What tells one file from all others, and who owns it.
struct FileIdentity: Equatable {
  let device: dev_t
  let inode: ino_t
  let owner: uid_t
  let group: gid_t

  /// Nil when there is no such file, or it cannot be reached.
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
  }
}

/// A file descriptor with an owner: closed once, at the latest when nothing refers to it any more.
final class Descriptor: Sendable {
  private let number: Mutex<Int32?>

  init(_ number: Int32) {
    self.number = Mutex(number)
  }

  deinit { close() }

  /// Nil once closed.
  var raw: Int32? { number.withLock { $0 } }

  func close() {
    number.withLock { number in
      if let open = number { Glibc.close(open) }
      number = nil
    }
  }
}
