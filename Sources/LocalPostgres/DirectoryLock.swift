import Glibc

/// Reserves a directory for one server.
///
/// A `flock` belongs to the open file, not to a process. The supervisor inherits the descriptor. So the lock stays held
/// until both the owner and the supervisor have ended, also while the server of a killed owner is being stopped.
///
/// A process that can open the file can lock it. So only its owner may open it, in a directory of the same owner.
struct DirectoryLock: Sendable {
  /// The longest wait for a killed owner's supervisor. It kills the server after 40 s.
  private static let timeout = Duration.seconds(60)

  private let file: Descriptor

  /// Creates the directory if it does not exist, and locks it. Waits while a killed owner's supervisor has the lock.
  ///
  /// - Throws: ``LocalPostgresError`` when a living owner or another user's process has the lock.
  static func acquire(_ directory: ServerDirectory) async throws -> DirectoryLock {
    let deadline = ContinuousClock.now + timeout
    while true {
      try directory.create()
      try directory.requireOwnership()
      // O_NOFOLLOW: a symbolic link could lead to another file, which would be overwritten.
      let number = open(directory.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard number >= 0 else { throw LocalPostgresError(cannot: "open \(directory.lock)") }
      let file = Descriptor(number)
      // Earlier versions created a file that others could read. If root opens another user's file, its mode stays.
      if FileIdentity(descriptor: number)?.owner == geteuid() { fchmod(number, 0o600) }
      if flock(number, LOCK_EX | LOCK_NB) == 0 {
        // An ephemeral directory may be removed between open and flock. The lock on a removed file protects nothing.
        if FileIdentity(descriptor: number) == FileIdentity(directory.lock) {
          let note = "\(getpid())\n"
          ftruncate(number, 0)
          pwrite(number, note, note.utf8.count, 0)
          return DirectoryLock(file: file)
        }
        continue
      }
      guard errno == EWOULDBLOCK else { throw LocalPostgresError(cannot: "lock \(directory.lock)") }
      let owner = Int32(text(of: number, from: 0).prefix { $0 != "\n" })
      if let other = Self.lockHolderOfAnotherUser(number, except: owner) {
        throw LocalPostgresError(
          "\(directory.lock) is locked by process \(other.process) of user \(other.user): "
            + "end that process, or use another directory")
      }
      // Without a number, the owner has locked the file and not yet written to it.
      let isAlive = owner.map { !commandLine(of: $0).isEmpty } ?? true
      if isAlive || ContinuousClock.now > deadline {
        let name = owner.map { "process \($0)" } ?? "another process"
        throw LocalPostgresError("\(directory.path) is in use by \(name): stop it first, or use another directory")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  /// A process of another user that has the lock. Its end cannot be expected, so there is no wait for it.
  ///
  /// `/proc/locks` (proc(5)) names the process that took the lock. After its end, its children may still have the
  /// lock. `owner` is the process of an earlier server, and does not count.
  private static func lockHolderOfAnotherUser(
    _ file: Int32, except owner: Int32?
  ) -> (process: Int32, user: uid_t)? {
    guard let inode = FileIdentity(descriptor: file)?.inode, let locks = text(ofFile: "/proc/locks") else { return nil }
    // A line is: number: FLOCK ADVISORY WRITE process major:minor:inode start end
    let lockers = locks.split(separator: "\n").compactMap { line -> Int32? in
      let fields = line.split(separator: " ")
      guard fields.count > 5, fields[1] == "FLOCK", fields[5].split(separator: ":").last == "\(inode)" else {
        return nil
      }
      return Int32(fields[4])
    }
    // Another device may have a file with the same inode. So no process counts if one may be of this user.
    let users = lockers.map { ($0, FileIdentity("/proc/\($0)")?.owner) }
    guard users.allSatisfy({ process, user in process != owner && user != nil && user != geteuid() }) else {
      return nil
    }
    return users.first.flatMap { process, user in user.map { (process, $0) } }
  }

  /// The descriptor that the supervisor inherits. Nil after ``release()``.
  var descriptor: Int32? { file.raw }

  func release() {
    // Closing alone may not release the lock: between fork and exec, any child has a copy of the descriptor.
    if let descriptor { flock(descriptor, LOCK_UN) }
    file.close()
  }
}
