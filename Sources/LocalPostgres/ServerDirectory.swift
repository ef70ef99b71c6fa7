import Glibc

/// The directory given to a server, and what is where in it.
struct ServerDirectory: Sendable {
  /// Absolute, since the supervisor works elsewhere.
  let path: String

  /// The cluster. It exists only when initdb has completed.
  var data: String { path + "/data" }
  var log: String { path + "/postgres.log" }
  var lock: String { path + "/lock" }

  /// - Throws: ``LocalPostgresError`` when a relative path has nothing to be relative to.
  init(_ path: String) throws {
    if path.hasPrefix("/") {
      self.path = path
      return
    }
    guard let working = getcwd(nil, 0) else { throw LocalPostgresError(cannot: "find the working directory") }
    defer { free(working) }
    self.path = String(cString: working) + "/" + path
  }

  /// Creates the directory and the missing ones above it.
  ///
  /// - Throws: ``LocalPostgresError`` when one of them cannot be created.
  func create() throws {
    var parent = ""
    let components = path.split(separator: "/")
    for (index, component) in components.enumerated() {
      parent += "/" + component
      // Nobody else has any business in its own one.
      guard mkdir(parent, index == components.count - 1 ? 0o700 : 0o755) == 0 || errno == EEXIST else {
        throw LocalPostgresError(cannot: "create the directory \(parent)")
      }
    }
  }

  /// In a directory of another user, that user decides what is there: the lock, and the data. Root may work for others.
  ///
  /// - Throws: ``LocalPostgresError`` when it belongs to another user, or everybody may write to it.
  func requireToBeOurs() throws {
    guard let identity = FileIdentity(path) else { throw LocalPostgresError(cannot: "read the directory \(path)") }
    guard identity.owner == geteuid() || geteuid() == 0, !identity.isWritableByAll else {
      throw LocalPostgresError("\(path) belongs to another user, or all may write to it: use a directory of your own")
    }
  }

  /// Keeps the removal of an ephemeral directory from taking along what was there before.
  ///
  /// - Throws: ``LocalPostgresError`` when something other than the lock is in it.
  func requireNothingButLock() throws {
    guard try names(in: path).allSatisfy({ $0 == "lock" }) else {
      throw LocalPostgresError("\(path) is not empty, and an ephemeral server removes its directory: give it a new one")
    }
  }
}
