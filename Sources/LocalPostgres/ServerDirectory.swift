import Glibc

/// The directory of a server, and the paths in it.
struct ServerDirectory: Sendable {
  /// Absolute, because the supervisor has another working directory.
  let path: String

  /// The cluster. It exists only after initdb has completed.
  var data: String { path + "/data" }
  var log: String { path + "/postgres.log" }
  var lock: String { path + "/lock" }

  /// - Throws: ``LocalPostgresError`` when the path is relative and the working directory is unknown.
  init(_ path: String) throws {
    if path.hasPrefix("/") {
      self.path = path
      return
    }
    guard let working = getcwd(nil, 0) else { throw LocalPostgresError(cannot: "find the working directory") }
    defer { free(working) }
    self.path = String(cString: working) + "/" + path
  }

  /// Creates the directory and its missing parents. Only its owner can enter the new directory.
  ///
  /// - Throws: ``LocalPostgresError`` when one of them cannot be created.
  func create() throws {
    var parent = ""
    let components = path.split(separator: "/")
    for (index, component) in components.enumerated() {
      parent += "/" + component
      guard mkdir(parent, index == components.count - 1 ? 0o700 : 0o755) == 0 || errno == EEXIST else {
        throw LocalPostgresError(cannot: "create the directory \(parent)")
      }
    }
  }

  /// Refuses a directory in which another user can replace the lock and the data. Root may use any directory.
  ///
  /// - Throws: ``LocalPostgresError`` when the directory belongs to another user, or all users may write to it.
  func requireOwnership() throws {
    guard let identity = FileIdentity(path) else { throw LocalPostgresError(cannot: "read the directory \(path)") }
    guard identity.owner == geteuid() || geteuid() == 0, !identity.isWritableByAll else {
      throw LocalPostgresError("\(path) belongs to another user, or is writable by all: use a directory of your own")
    }
  }

  /// Protects existing files: an ephemeral server removes its directory with all that is in it.
  ///
  /// - Throws: ``LocalPostgresError`` when the directory contains anything but the lock.
  func requireEmptyExceptLock() throws {
    guard try names(in: path).allSatisfy({ $0 == "lock" }) else {
      throw LocalPostgresError("\(path) is not empty, and an ephemeral server removes its directory: use a new one")
    }
  }
}

/// The directory of a server's Unix socket. Only the server's user and root can enter it.
///
/// It is not below the ``ServerDirectory``, because a socket's path has at most 107 bytes (unix(7)). The paths of
/// checkouts are often longer.
enum SocketDirectory {
  private static let prefix = "flashsale-"

  /// The bytes that `flashsale-XXXXXX/.s.PGSQL.5432` leaves of the 107 for the parent directory.
  private static let parentLengthMax = 75

  /// - Returns: the absolute path of a new directory. The supervisor removes it.
  /// - Throws: ``LocalPostgresError`` when the directory cannot be created.
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

  /// Removes the directory of a server that was killed together with its supervisor. Ignores paths with another prefix.
  static func removeAbandoned(_ path: String) {
    guard path.split(separator: "/").last?.hasPrefix(prefix) == true else { return }
    unlink("\(path)/.s.PGSQL.\(LocalPostgres.port)")
    unlink("\(path)/.s.PGSQL.\(LocalPostgres.port).lock")
    rmdir(path)
  }

  /// `TMPDIR` if a socket can be there, otherwise `/tmp`. Root uses `/tmp`: the server's user may be unable to enter
  /// root's `TMPDIR`.
  private static func parent() -> String {
    guard geteuid() != 0, let variable = getenv("TMPDIR") else { return "/tmp" }
    let path = String(cString: variable)
    // `unix_socket_directories` is a list with commas and quotes.
    let isPlain = path.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") }
    return path.hasPrefix("/") && path.utf8.count <= parentLengthMax && isPlain ? path : "/tmp"
  }
}
