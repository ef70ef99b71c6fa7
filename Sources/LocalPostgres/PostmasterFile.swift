/// The content of `postmaster.pid`, which a running server maintains (PostgreSQL, "Database File Layout").
struct PostmasterFile: Equatable, Sendable {
  let process: Int32
  let socketDirectory: String
  /// `starting`, `stopping`, `ready` or `standby`. Empty until the server has written it.
  let status: String

  /// Nil when the file does not exist or is incomplete.
  init?(inData data: String) {
    guard let text = text(ofFile: Self.path(inData: data)) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 4, let process = Int32(lines[0]), process > 0 else { return nil }
    self.process = process
    socketDirectory = String(lines[4])
    status = lines.count > 7 ? String(lines[7].prefix { $0 != " " }) : ""
  }

  /// Whether the process with this number is the one that wrote the file. Each server has its own socket directory, and
  /// names it on its command line.
  var isRunning: Bool {
    commandLine(of: process).contains("unix_socket_directories=\(socketDirectory)")
  }

  static func path(inData data: String) -> String { data + "/postmaster.pid" }
}
