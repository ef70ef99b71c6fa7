import Glibc

/// Where a server's Unix socket is: a directory of its own with a short path, which only the server's user and root
/// can enter.
///
/// Beside the data it would be easier to find, but a socket's path has at most 107 bytes (unix(7)), and the paths of
/// checkouts are often longer.
enum SocketDirectory {
  private static let prefix = "flashsale-"

  /// What 107 bytes leave for the parent of `flashsale-XXXXXX/.s.PGSQL.5432`.
  private static let parentLengthMax = 75

  /// - Returns: the absolute path of a new directory, which the supervisor removes.
  /// - Throws: ``LocalPostgresError`` when it cannot be created.
  static func make(owner: DatabaseOwner?) throws -> String {
    var template = Array("\(parent())/\(prefix)XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw LocalPostgresError(cannot: "create a directory in \(parent())") }
    let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    if let owner, chown(path, owner.user, owner.group) != 0 {
      let error = LocalPostgresError(cannot: "give \(path) to the user \(owner.user)")
      rmdir(path)
      throw error
    }
    return path
  }

  /// Removes what a server that was killed together with its supervisor left behind, if it is ours.
  static func removeAbandoned(_ path: String) {
    guard path.split(separator: "/").last?.hasPrefix(prefix) == true else { return }
    unlink("\(path)/.s.PGSQL.\(LocalPostgres.port)")
    unlink("\(path)/.s.PGSQL.\(LocalPostgres.port).lock")
    rmdir(path)
  }

  /// `TMPDIR` if it is fit for a socket. Not when root: the server's user might be unable to enter root's.
  private static func parent() -> String {
    guard geteuid() != 0, let variable = getenv("TMPDIR") else { return "/tmp" }
    let path = String(cString: variable)
    // PostgreSQL reads a list here, with commas and quotes.
    let isPlain = path.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") }
    return path.hasPrefix("/") && path.utf8.count <= parentLengthMax && isPlain ? path : "/tmp"
  }
}
