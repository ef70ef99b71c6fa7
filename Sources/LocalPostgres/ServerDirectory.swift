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
    for component in path.split(separator: "/") {
      parent += "/" + component
      guard mkdir(parent, 0o755) == 0 || errno == EEXIST else {
        throw LocalPostgresError(cannot: "create the directory \(parent)")
      }
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
