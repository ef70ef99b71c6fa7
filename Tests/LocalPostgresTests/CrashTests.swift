import Glibc
import Subprocess
import Testing

@testable import LocalPostgres

/// Three processes belong to a server: its owner, the supervisor and the postmaster. Each test kills some of them with
/// SIGKILL, which no process can handle. The owner is a test process of its own, started by `processExitsWith`.
///
/// A test that kills the owner and the supervisor first stops the supervisor with SIGSTOP. A running supervisor would stop
/// the server when its owner ends. An owner whose supervisor is killed would stop the server itself.
@Suite struct CrashTests {
  @Test func `killing the owner ends the server and removes an ephemeral directory`() async throws {
    try await withDirectory { directory in
      await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
        try await withServer(directory, ephemeral: true) { server in
          try Traces(server, directory).save(directory)
          kill(getpid(), SIGKILL)
        }
      }
      let traces = try Traces(directory)
      try await eventually("the server ends") { !isRunning(traces.postmaster) }
      try await eventually("the data is removed") { access(directory, F_OK) != 0 }
      try await eventually("the socket is removed") { access(traces.sockets, F_OK) != 0 }
    }
  }

  @Test func `the next owner waits until the server of a killed owner has ended`() async throws {
    try await withDirectory { directory in
      await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
        try await withServer(directory) { server in
          _ = try await server.query("create table kept as select 42 as answer")
          kill(getpid(), SIGKILL)
        }
      }
      try await withServer(directory) { try await $0.expect("select answer from kept", "42") }
    }
  }

  @Test func `the next owner stops a server without an owner and a supervisor`() async throws {
    try await withDirectory { directory in
      await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
        try await withServer(directory) { server in
          _ = try await server.query("create table kept as select 42 as answer")
          let traces = try Traces(server, directory)
          try traces.save(directory)
          kill(traces.supervisor, SIGSTOP)
          kill(getpid(), SIGKILL)
        }
      }
      let traces = try Traces(directory)
      kill(traces.supervisor, SIGKILL)
      #expect(isRunning(traces.postmaster))
      try await withServer(directory) { server in
        #expect(!isRunning(traces.postmaster))
        #expect(access(traces.sockets, F_OK) != 0)
        try await server.expect("select answer from kept", "42")
      }
    }
  }

  @Test func `committed data survives the killing of all three processes`() async throws {
    try await withDirectory { directory in
      await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
        try await withServer(directory) { server in
          _ = try await server.query("create table kept as select 42 as answer")
          let traces = try Traces(server, directory)
          try traces.save(directory)
          kill(traces.supervisor, SIGSTOP)
          kill(traces.postmaster, SIGKILL)
          kill(getpid(), SIGKILL)
        }
      }
      kill(try Traces(directory).supervisor, SIGKILL)
      #expect(PostmasterFile(inData: directory + "/data") != nil, "no process was left to remove it")
      try await withServer(directory) { try await $0.expect("select answer from kept", "42") }
    }
  }

  /// In a restarted container, the process id in a stale file often belongs to another program.
  @Test func `a stale pid file with another program's process id does not prevent the start`() async throws {
    try await withDirectory { directory in
      try await withServer(directory) { _ in }
      // The option `userID` is not used: it calls the C library's setuid(2) between fork and exec. There setuid(2) may wait
      // forever for threads that only the parent has.
      let owner = try DatabaseOwner.find(forData: directory + "/data")
      let asOwner = owner.map { ["setpriv", "--reuid=\($0.user)", "--clear-groups", "--"] } ?? []
      let command = asOwner + ["sleep", "3600"]
      _ = try await run(
        .name(command[0]), arguments: Arguments(Array(command.dropFirst())), input: .none, output: .discarded,
        error: .discarded
      ) { stranger in
        let number = stranger.processIdentifier.value
        let stale = "\(number)\n\(directory)/data\n1\n5432\n/nowhere\n\n0 0\nready\n"
        try write(stale, to: PostmasterFile.path(inData: directory + "/data"))
        try await withServer(directory) { try await $0.expect("select 1", "1") }
        #expect(isRunning(number))
        await stranger.teardown(using: [])
      }
    }
  }

  @Test func `the body is cancelled when the server dies`() async throws {
    try await withDirectory { directory in
      let complaint = try await complaint {
        try await withServer(directory) { _ in
          kill(try postmaster(directory), SIGKILL)
          try await Task.sleep(for: .seconds(3600))
        }
      }
      #expect(complaint.contains("ended while it was in use (signal 9)"))
      try await withServer(directory) { try await $0.expect("select 1", "1") }
    }
  }

  @Test func `the owner stops the server when the supervisor is killed`() async throws {
    try await withDirectory { directory in
      let complaint = try await complaint {
        try await withServer(directory, ephemeral: true) { server in
          try Traces(server, directory).save(directory)
          kill(try parent(of: postmaster(directory)), SIGKILL)
          try await Task.sleep(for: .seconds(3600))
        }
      }
      #expect(complaint.contains("its supervisor got signal 9"))
      let traces = try Traces(directory)
      #expect(!isRunning(traces.postmaster))
      #expect(access(traces.sockets, F_OK) != 0)
      #expect(access(directory, F_OK) != 0)
    }
  }
}

/// The processes and the directory that a server may leave. The owner saves them before it is killed.
private struct Traces {
  let postmaster: pid_t
  let supervisor: pid_t
  let sockets: String

  init(_ server: LocalPostgres, _ directory: String) throws {
    postmaster = try LocalPostgresTests.postmaster(directory)
    supervisor = try parent(of: postmaster)
    sockets = server.socketDirectory
  }

  /// Reads the file of ``save(_:)``.
  init(_ directory: String) throws {
    let lines = try #require(text(ofFile: directory + ".traces")).split(separator: "\n")
    postmaster = try #require(pid_t(lines[0]))
    supervisor = try #require(pid_t(lines[1]))
    sockets = String(lines[2])
  }

  /// Writes the file beside the directory, because the directory may be removed.
  func save(_ directory: String) throws {
    try write("\(postmaster)\n\(supervisor)\n\(sockets)\n", to: directory + ".traces")
  }
}
