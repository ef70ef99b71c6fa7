/// What a running server says about itself in `postmaster.pid` (PostgreSQL, "Database File Layout").
struct PostmasterFile: Equatable, Sendable {
  let process: Int32
  let socketDirectory: String
  /// `starting`, `stopping`, `ready` or `standby`; empty until the server has written it.
  let status: String

  /// Nil when there is no such file, or it is not complete yet.
  init?(inData data: String) {
    guard let text = text(ofFile: Self.path(inData: data)) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 4, let process = Int32(lines[0]), process > 0 else { return nil }
    self.process = process
    socketDirectory = String(lines[4])
    status = lines.count > 7 ? String(lines[7].prefix { $0 != " " }) : ""
  }

  /// Whether the process of that number is still the one that wrote this: each server has a socket directory of its
  /// own, and says so on its command line.
  var isRunning: Bool {
    commandLine(of: process).contains("unix_socket_directories=\(socketDirectory)")
  }

  static func path(inData data: String) -> String { data + "/postmaster.pid" }
}
