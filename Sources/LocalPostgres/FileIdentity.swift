import Glibc

/// What tells one file from all others, and who owns it.
struct FileIdentity: Equatable {
  let device: dev_t
  let inode: ino_t
  let owner: uid_t
  let group: gid_t
  /// Whether everybody may write to it.
  let isWritableByAll: Bool

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
    isWritableByAll = status.st_mode & 0o002 != 0
  }
}
