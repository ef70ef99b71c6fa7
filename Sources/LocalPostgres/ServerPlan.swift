import Glibc

/// The decisions about a server before its start.
struct ServerPlan: Sendable {
  let directory: ServerDirectory
  /// Whether the directory is removed after the server has stopped.
  let isEphemeral: Bool
  let socketDirectory: String
  /// Nil: the server runs as this process's user.
  let owner: DatabaseOwner?
  let binaries: Binaries
  let settings: [String: String]

  /// The arguments of ``supervisorScript``.
  var arguments: [String] {
    var settings = settings
    // These override the caller's settings, so the server is reachable only by its socket.
    settings["listen_addresses"] = ""
    settings["unix_socket_directories"] = socketDirectory
    settings["port"] = "\(LocalPostgres.port)"
    let owner = owner.map { "\($0.user):\($0.group)" } ?? ""
    return [directory.path, socketDirectory, owner, isEphemeral ? "ephemeral" : ""]
      + settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
  }
}

/// The operating system user of a server that root starts. PostgreSQL refuses to run as root.
struct DatabaseOwner: Equatable, Sendable {
  let user: uid_t
  let group: gid_t

  /// The owner of existing data. Without data: the user `postgres` if it exists, else `nobody`.
  ///
  /// - Returns: nil when this process is not root. The server then runs as this process's user.
  /// - Throws: ``LocalPostgresError`` when neither user exists.
  static func find(forData data: String) throws -> DatabaseOwner? {
    guard geteuid() == 0 else { return nil }
    if let data = FileIdentity(data), data.owner != 0 {
      return DatabaseOwner(user: data.owner, group: data.group)
    }
    guard let owner = named("postgres") ?? named("nobody") else {
      throw LocalPostgresError(
        "PostgreSQL does not run as root, and neither the user postgres nor nobody exists: useradd --system postgres")
    }
    return owner
  }

  private static func named(_ name: String) -> DatabaseOwner? {
    // 16 KiB are enough for a local user's entry. A longer entry fails with ERANGE and counts as missing.
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16_384) { buffer in
      var entry = passwd()
      var found: UnsafeMutablePointer<passwd>?
      guard getpwnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found) == 0, found != nil else { return nil }
      return DatabaseOwner(user: entry.pw_uid, group: entry.pw_gid)
    }
  }
}
