import Glibc
import Testing

@testable import LocalPostgres

@Suite struct ServerTests {
  @Test func `a server answers on its socket and has durable settings`() async throws {
    try await withDirectory { directory in
      try await withServer(directory) { server in
        try await server.expect("select 1", "1")
        try await server.expect("select current_database(), current_user", "flashsale|flashsale")
        try await server.expect("show listen_addresses", "")
        try await server.expect("show fsync", "on")
        try await server.expect("show synchronous_commit", "on")
        try await server.expect("show server_encoding", "UTF8")
      }
    }
  }

  @Test func `settings reach the server, but cannot open a port`() async throws {
    try await withDirectory { directory in
      let settings = ["work_mem": "7MB", "listen_addresses": "*", "application_name": "it's \"quoted\""]
      try await withServer(directory, settings: settings) { server in
        try await server.expect("show work_mem", "7MB")
        try await server.expect("show listen_addresses", "")
      }
    }
  }

  @Test func `the next start finds the data of the last`() async throws {
    try await withDirectory { directory in
      _ = try await withServer(directory) { try await $0.query("create table kept as select 42 as answer") }
      try await withServer(directory) { try await $0.expect("select answer from kept", "42") }
    }
  }

  @Test func `an ephemeral server leaves no files`() async throws {
    try await withDirectory { directory in
      let sockets = try await withServer(directory, ephemeral: true) { server in server.socketDirectory }
      #expect(access(directory, F_OK) != 0)
      #expect(access(sockets, F_OK) != 0)
    }
  }

  @Test func `an ephemeral server refuses a directory that is not empty`() async throws {
    try await withDirectory { directory in
      try ServerDirectory(directory + "/precious").create()
      let complaint = try await complaint { try await withServer(directory, ephemeral: true) { _ in } }
      #expect(complaint.contains("is not empty"))
      #expect(access(directory + "/precious", F_OK) == 0)
    }
  }

  @Test func `a second owner is refused with a message of one line`() async throws {
    try await withDirectory { directory in
      try await withServer(directory) { server in
        let complaint = try await complaint { try await withServer(directory) { _ in } }
        #expect(complaint.contains("is in use by process \(getpid())"))
        try await server.expect("select 1", "1")
      }
    }
  }

  @Test func `initdb runs again after an interruption`() async throws {
    try await withDirectory { directory in
      try ServerDirectory(directory + "/data.new/base").create()
      try await withServer(directory) { try await $0.expect("select 1", "1") }
    }
  }

  @Test func `a failed start reports the server's reason in one line`() async throws {
    try await withDirectory { directory in
      let complaint = try await complaint {
        try await withServer(directory, ephemeral: true, settings: ["no_such_setting": "1"]) { _ in }
      }
      #expect(complaint.contains("did not start"))
      #expect(complaint.contains(#"unrecognized configuration parameter "no_such_setting""#))
      #expect(access(directory, F_OK) != 0)
    }
  }

  @Test func `an error of the body is thrown after the server has stopped`() async throws {
    struct Failure: Error {}
    try await withDirectory { directory in
      await #expect(throws: Failure.self) { try await withServer(directory) { _ in throw Failure() } }
      #expect(PostmasterFile(inData: directory + "/data") == nil)
    }
  }

  @Test func `cancelling the owner's task stops the server`() async throws {
    try await withDirectory { directory in
      let (started, start) = AsyncStream.makeStream(of: Void.self)
      let owner = Task {
        try await withServer(directory) { _ in
          start.yield()
          try await Task.sleep(for: .seconds(3600))
        }
      }
      for await _ in started { break }
      let server = try postmaster(directory)
      owner.cancel()
      await #expect(throws: CancellationError.self) { try await owner.value }
      #expect(!isRunning(server))
      #expect(PostmasterFile(inData: directory + "/data") == nil, "an orderly stop removes it")
    }
  }

  @Test func `cancelling during the start leaves no directory`() async throws {
    try await withDirectory { directory in
      let owner = Task { try await withServer(directory, ephemeral: true) { _ in Issue.record("it was cancelled") } }
      owner.cancel()
      await #expect(throws: CancellationError.self) { try await owner.value }
      #expect(access(directory, F_OK) != 0)
    }
  }

  @Test func `Ctrl-C does not reach the server and its supervisor`() async throws {
    try await withDirectory { directory in
      try await withServer(directory) { _ in
        let server = try postmaster(directory)
        #expect(getsid(server) != getsid(0))
        #expect(getpgid(try parent(of: server)) != getpgrp())
      }
    }
  }

  @Test func `the URL of a database percent-encodes reserved characters`() {
    let server = LocalPostgres(socketDirectory: "/tmp/a b")
    #expect(server.databaseURL() == "postgresql://flashsale@%2Ftmp%2Fa%20b:5432/flashsale")
    #expect(server.databaseURL("50% ü/?") == "postgresql://flashsale@%2Ftmp%2Fa%20b:5432/50%25%20%C3%BC%2F%3F")
  }
}
