import Glibc
import Testing

@testable import LocalPostgres

@Suite struct ServerLogTests {
  @Test func `the complaint is the last error of this start`() async throws {
    try await withDirectory { directory in
      try ServerDirectory(directory).create()
      let path = directory + "/postgres.log"
      try write("FATAL:  of an earlier start\n", to: path)
      let log = try ServerLog(path: path)
      #expect(log.complaint() == nil)
      try append("LOG:  starting\n", to: path)
      #expect(log.complaint() == "LOG:  starting")
      try append("FATAL:  no memory\nHINT:  buy some\nLOG:  shut down\n", to: path)
      #expect(log.complaint() == "FATAL:  no memory")
      unlink(path)
      #expect(log.complaint() == "FATAL:  no memory", "an ephemeral directory is removed by then")
    }
  }

  @Test func `a large log file is renamed at the start`() async throws {
    try await withDirectory { directory in
      try ServerDirectory(directory).create()
      let path = directory + "/postgres.log"
      try write("old\n", to: path)
      _ = try ServerLog(path: path)
      #expect(text(ofFile: path) == "old\n")
      truncate(path, 9 << 20)
      _ = try ServerLog(path: path)
      #expect(text(ofFile: path) == "")
      #expect(access(path + ".1", F_OK) == 0)
    }
  }

  private func append(_ more: String, to path: String) throws {
    try write((text(ofFile: path) ?? "") + more, to: path)
  }
}
