import Glibc
import Subprocess
import Testing

@testable import LocalPostgres

@Suite struct DirectoryLockTests {
  @Test func `an existing lock that others can read becomes private to its owner`() async throws {
    try await withOpenDirectory { path in
      let directory = try ServerDirectory(path)
      try write("1\n", to: directory.lock)
      try #require(chmod(directory.lock, 0o644) == 0)
      let lock = try await DirectoryLock.acquire(directory)
      #expect(try mode(of: directory.lock) == 0o600)
      lock.release()
    }
  }

  @Test func `a new directory and its lock are private to their owner`() async throws {
    try await withDirectory { path in
      let directory = try ServerDirectory(path)
      try await DirectoryLock.acquire(directory).release()
      #expect(try mode(of: path) == 0o700)
      #expect(try mode(of: directory.lock) == 0o600)
    }
  }

  @Test func `a symbolic link in place of the lock is refused`() async throws {
    try await withOpenDirectory { path in
      let directory = try ServerDirectory(path)
      try write("precious\n", to: path + "/victim")
      try #require(symlink(path + "/victim", directory.lock) == 0)
      let complaint = try await complaint { _ = try await DirectoryLock.acquire(directory) }
      #expect(complaint.contains(directory.lock))
      #expect(text(ofFile: path + "/victim") == "precious\n")
    }
  }

  @Test func `a directory that other users can write to is refused`() async throws {
    try await withOpenDirectory { path in
      try #require(chmod(path, 0o777) == 0)
      let complaint = try await complaint { _ = try await DirectoryLock.acquire(ServerDirectory(path)) }
      #expect(complaint.contains("use a directory of your own"))
    }
  }

  /// Only root can run a process as another user.
  @Test(.enabled(if: geteuid() == 0))
  func `a lock of another user is reported at once`() async throws {
    try await withOpenDirectory { path in
      let directory = try ServerDirectory(path)
      // A killed owner leaves the id of an ended process. With the same user, `acquire` would wait for the lock.
      try write("4194305\n", to: directory.lock)
      try #require(chmod(directory.lock, 0o644) == 0)
      _ = try await run(
        .name("setpriv"),
        arguments: [
          "--reuid=65534", "--clear-groups", "flock", "--shared", directory.lock, "sh", "-c", "echo locked; read line",
        ],
        input: .inputWriter, output: .sequence, error: .discarded
      ) { execution in
        for try await _ in execution.standardOutput.strings() { break }
        let complaint = try await complaint { _ = try await DirectoryLock.acquire(directory) }
        #expect(complaint.contains("of user 65534"), "\(complaint)")
        try await execution.standardInputWriter.finish()
      }
    }
  }

  private func mode(of path: String) throws -> mode_t {
    var status = stat()
    try #require(lstat(path, &status) == 0)
    return status.st_mode & 0o777
  }
}

/// A new directory that other users can enter, removed afterwards.
private func withOpenDirectory(_ body: (String) async throws -> Void) async throws {
  var template = Array("/tmp/flashsale-lock-XXXXXX".utf8CString)
  try #require(mkdtemp(&template) != nil)
  let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  try #require(chmod(path, 0o755) == 0)
  let result: Result<Void, any Error>
  do { result = .success(try await body(path)) } catch { result = .failure(error) }
  _ = try await run(.name("rm"), arguments: ["-rf", "--", path], output: .discarded)
  try result.get()
}
