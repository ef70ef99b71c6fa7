import Glibc

/// Keeps a directory to one server.
///
/// A `flock` belongs to the open file, not to a process. The supervisor inherits ours, so it is released when both
/// are gone: nobody else can enter while a killed owner's server is still being stopped.
struct DirectoryLock: Sendable {
  /// How long a dead owner's supervisor may take to stop its server; it gives up on gentle ways before.
  private static let succession = Duration.seconds(60)

  private let file: Descriptor

  /// Locks the directory, which is created if need be. An owner that was killed is waited for.
  ///
  /// - Throws: ``LocalPostgresError`` when a living process has it.
  static func acquire(_ directory: ServerDirectory) async throws -> DirectoryLock {
    let deadline = ContinuousClock.now + succession
    while true {
      try directory.create()
      let number = open(directory.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard number >= 0 else { throw LocalPostgresError(cannot: "open \(directory.lock)") }
      let file = Descriptor(number)
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
      // No number yet: an owner that has only just locked it.
      let isAlive = owner.map { !commandLine(of: $0).isEmpty } ?? true
      if isAlive || ContinuousClock.now > deadline {
        let name = owner.map { "process \($0)" } ?? "another process"
        throw LocalPostgresError("\(directory.path) is in use by \(name): stop that first, or use another directory")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  /// The descriptor that the supervisor is to inherit; nil once released.
  var descriptor: Int32? { file.raw }

  func release() {
    // Closing would not do: a child that is being forked for some other purpose has a copy until its exec.
    if let descriptor { flock(descriptor, LOCK_UN) }
    file.close()
  }
}
