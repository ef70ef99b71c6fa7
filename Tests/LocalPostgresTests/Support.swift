import Glibc
import Logging
import Subprocess
import Testing

@testable import LocalPostgres

/// Lends the path of a new directory, and removes it afterwards. The path is too long for a socket, and has characters that
/// are special to a shell. Only the owner can enter its parent.
func withDirectory(_ body: (String) async throws -> Void) async throws {
  var template = Array("/tmp/local postgres $x-XXXXXX".utf8CString)
  try #require(mkdtemp(&template) != nil)
  let parent = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  let result: Result<Void, any Error>
  do { result = .success(try await body(parent + "/" + String(repeating: "deep/", count: 30) + "server")) } catch {
    result = .failure(error)
  }
  _ = try await run(.name("rm"), arguments: ["-rf", "--", parent], output: .discarded)
  try result.get()
}

/// Lends a server. It keeps its data unless it is ephemeral.
func withServer<Success: Sendable>(
  _ directory: String, ephemeral: Bool = false, settings: [String: String] = [:],
  body: @Sendable (LocalPostgres) async throws -> Success
) async throws -> Success {
  try await LocalPostgres.withServer(
    directory: directory, ephemeral: ephemeral, settings: settings, logger: Logger(label: "test") { _ in quiet },
    body: body)
}

private let quiet: any LogHandler = SwiftLogNoOpLogHandler()

extension LocalPostgres {
  /// The output of psql, without the last line feed.
  func query(_ sql: String) async throws -> String {
    let result = try await run(
      .name("psql"), arguments: ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", databaseURL(), "-c", sql],
      output: .string(limit: 65_536), error: .string(limit: 65_536))
    try #require(result.terminationStatus.isSuccess, "\(result.standardError)")
    return result.standardOutput.split(separator: "\n").joined(separator: "\n")
  }

  func expect(_ sql: String, _ answer: String, at location: SourceLocation = #_sourceLocation) async throws {
    #expect(try await query(sql) == answer, sourceLocation: location)
  }
}

/// The process id of the postmaster. Its parent is the supervisor.
func postmaster(_ directory: String) throws -> pid_t {
  try #require(PostmasterFile(inData: directory + "/data")).process
}

func isRunning(_ process: pid_t) -> Bool { !commandLine(of: process).isEmpty }

func parent(of process: pid_t) throws -> pid_t {
  let status = try #require(text(ofFile: "/proc/\(process)/status"))
  let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("PPid:") })
  return try #require(pid_t(line.dropFirst(5).drop { $0 == "\t" }))
}

/// Waits until a condition holds, at most 60 s. Checks it every 10 ms.
func eventually(_ what: Comment, _ condition: () throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while try !condition() {
    try #require(ContinuousClock.now < deadline, what)
    try await Task.sleep(for: .milliseconds(10))
  }
}

/// The text of the ``LocalPostgresError`` that `body` throws, which must be one line.
func complaint(_ body: () async throws -> Void) async throws -> String {
  var text = ""
  do {
    try await body()
    Issue.record("nothing was thrown")
  } catch let error as LocalPostgresError {
    text = error.description
  }
  #expect(!text.contains("\n"))
  return text
}

/// Replaces the file.
func write(_ text: String, to path: String) throws {
  let file = try #require(fopen(path, "w"))
  fputs(text, file)
  fclose(file)
}
