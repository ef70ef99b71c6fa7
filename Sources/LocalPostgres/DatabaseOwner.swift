import Glibc

/// The operating system user that a server started by root runs as, since PostgreSQL refuses to run as root.
struct DatabaseOwner: Equatable, Sendable {
  let user: uid_t
  let group: gid_t

  /// The owner of the data if there is some; else `postgres`, or `nobody` where there is no such user.
  ///
  /// - Returns: nil when this process is not root: then the server runs as what we are.
  /// - Throws: ``LocalPostgresError`` when neither user exists.
  static func find(forData data: String) throws -> DatabaseOwner? {
    guard geteuid() == 0 else { return nil }
    if let data = FileIdentity(data), data.owner != 0 {
      return DatabaseOwner(user: data.owner, group: data.group)
    }
    guard let owner = named("postgres") ?? named("nobody") else {
      throw LocalPostgresError("PostgreSQL does not run as root, and there is no other user: useradd --system postgres")
    }
    return owner
  }

  private static func named(_ name: String) -> DatabaseOwner? {
    // 16 KiB holds any entry of a local user; a longer one fails with ERANGE and counts as missing.
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16_384) { buffer in
      var entry = passwd()
      var found: UnsafeMutablePointer<passwd>?
      guard getpwnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found) == 0, found != nil else { return nil }
      return DatabaseOwner(user: entry.pw_uid, group: entry.pw_gid)
    }
  }
}
