import Subprocess

/// All that is decided about a server before it is started.
struct ServerPlan: Sendable {
  let directory: ServerDirectory
  /// Whether the directory is removed when the server has stopped.
  let isEphemeral: Bool
  let socketDirectory: String
  let owner: DatabaseOwner?
  let binaries: Binaries
  let settings: [String: String]

  /// The arguments of ``supervisorScript``.
  var arguments: [String] {
    var settings = settings
    // These are not the caller's: the server is to be reached by its socket alone.
    settings["listen_addresses"] = ""
    settings["unix_socket_directories"] = socketDirectory
    settings["port"] = "\(LocalPostgres.port)"
    let owner = owner.map { "\($0.user):\($0.group)" } ?? ""
    return [directory.path, socketDirectory, owner, isEphemeral ? "ephemeral" : ""]
      + settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
  }
}
