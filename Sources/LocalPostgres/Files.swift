import Glibc

// The few calls to the file system that the module needs; all are short.

/// The text of a file, up to 64 KiB of it; nil when it cannot be read, which for most files here means that it is gone.
func text(ofFile path: String) -> String? {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  return text(of: file, from: 0)
}

/// What can be read from `offset` on, at most 64 KiB; nothing after an error.
func text(of file: Int32, from offset: Int) -> String {
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
