import Glibc

/// Keeps a directory to one server.
///
/// A `flock` belongs to the open file, not to a process. The supervisor inherits ours, so it is released when both
/// are gone: nobody else can enter while a killed owner's server is still being stopped.
///
/// Whoever can open the file can lock it. So it is its owner's alone, in a directory that is its owner's.
struct DirectoryLock: Sendable {
  /// How long a dead owner's supervisor may take to stop its server; it gives up on gentle ways before.
  private static let succession = Duration.seconds(60)

  private let file: Descriptor

  /// Locks the directory, which is created if need be. An owner that was killed is waited for.
  ///
  /// - Throws: ``LocalPostgresError`` when a living process has it, or another user's process locks it.
  static func acquire(_ directory: ServerDirectory) async throws -> DirectoryLock {
    let deadline = ContinuousClock.now + succession
    while true {
      try directory.create()
      try directory.requireToBeOurs()
      // A link in its place would have us write to another file.
      let number = open(directory.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard number >= 0 else { throw LocalPostgresError(cannot: "open \(directory.lock)") }
      let file = Descriptor(number)
      // Earlier versions let others read it. Of another user's file only root comes this far, and leaves it as it is.
      if FileIdentity(descriptor: number)?.owner == geteuid() { fchmod(number, 0o600) }
      if flock(number, LOCK_EX | LOCK_NB) == 0 {
        // An ephemeral directory may have been removed between open and flock: then this locks nothing.
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
      if let stranger = Self.stranger(thatLocks: number, except: owner) {
        throw LocalPostgresError(
          "\(directory.lock) is locked by process \(stranger.process) of user \(stranger.user): "
            + "end that process, or use another directory")
      }
      // No number yet: an owner that has only just locked it.
      let isAlive = owner.map { !commandLine(of: $0).isEmpty } ?? true
      if isAlive || ContinuousClock.now > deadline {
        let name = owner.map { "process \($0)" } ?? "another process"
        throw LocalPostgresError("\(directory.path) is in use by \(name): stop that first, or use another directory")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  /// A process of another user that locks the file: nothing that we could wait for.
  ///
  /// `/proc/locks` (proc(5)) names the process that took a lock, which may have ended since and left the lock to its
  /// children; `owner` is such a one.
  private static func stranger(thatLocks file: Int32, except owner: Int32?) -> (process: Int32, user: uid_t)? {
    guard let inode = FileIdentity(descriptor: file)?.inode, let locks = text(ofFile: "/proc/locks") else { return nil }
    // number: FLOCK ADVISORY WRITE process device:device:inode start end
    let lockers = locks.split(separator: "\n").compactMap { line -> Int32? in
      let fields = line.split(separator: " ")
      guard fields.count > 5, fields[1] == "FLOCK", fields[5].split(separator: ":").last == "\(inode)" else {
        return nil
      }
      return Int32(fields[4])
    }
    // The same inode may be another file's on another device: so only if none of them could be ours.
    let users = lockers.map { ($0, FileIdentity("/proc/\($0)")?.owner) }
    guard users.allSatisfy({ process, user in process != owner && user != nil && user != geteuid() }) else {
      return nil
    }
    return users.first.flatMap { process, user in user.map { (process, $0) } }
  }

  /// The descriptor that the supervisor is to inherit; nil once released.
  var descriptor: Int32? { file.raw }

  func release() {
    // Closing would not do: a child that is being forked for some other purpose has a copy until its exec.
    if let descriptor { flock(descriptor, LOCK_UN) }
    file.close()
  }
}
