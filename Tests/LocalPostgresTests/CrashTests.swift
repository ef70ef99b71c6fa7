import Glibc
import Subprocess
import Testing

@testable import LocalPostgres

/// Each kills some of the three that a server consists of, with a signal that none can handle: its owner (a test
/// process of its own, forked by `processExitsWith`), the supervisor, and the server itself. A supervisor that is to end
/// with its owner is halted before: the owner of a killed one would stand in for it, and a running one does its work.
@Suite struct CrashTests {
  @Test func killedOwnerTakesServerAndEphemeralDirectoryAlong() async throws {
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

  @Test func nextOwnerWaitsForTheServerOfAKilledOne() async throws {
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

  @Test func abandonedServerIsStoppedByTheNextOwner() async throws {
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

  @Test func committedDataSurvivesTheKillingOfEverything() async throws {
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
      #expect(PostmasterFile(inData: directory + "/data") != nil, "nobody was left to remove it")
      try await withServer(directory) { try await $0.expect("select answer from kept", "42") }
    }
  }

  /// In a restarted container the number in a stale file is often another's.
  @Test func staleFileWithTheNumberOfAStrangerDoesNotStopTheStart() async throws {
    try await withDirectory { directory in
      try await withServer(directory) { _ in }
      // Not by the option `userID`: between fork and exec, setuid(2) of the C library may wait for threads that only the
      // parent has, for ever.
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

  @Test func dyingServerCancelsTheBody() async throws {
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

  @Test func killedSupervisorIsStoodInFor() async throws {
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

/// Where to look for what a server may leave, told by its owner before it is killed.
private struct Traces {
  let postmaster: pid_t
  let supervisor: pid_t
  let sockets: String

  init(_ server: LocalPostgres, _ directory: String) throws {
    postmaster = try LocalPostgresTests.postmaster(directory)
    supervisor = try parent(of: postmaster)
    sockets = server.socketDirectory
  }

  /// Reads what ``save(_:)`` has written.
  init(_ directory: String) throws {
    let lines = try #require(text(ofFile: directory + ".traces")).split(separator: "\n")
    postmaster = try #require(pid_t(lines[0]))
    supervisor = try #require(pid_t(lines[1]))
    sockets = String(lines[2])
  }

  /// Beside the directory, since that may be removed.
  func save(_ directory: String) throws {
    try write("\(postmaster)\n\(supervisor)\n\(sockets)\n", to: directory + ".traces")
  }
}
