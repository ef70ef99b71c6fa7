import Glibc
import Testing

@testable import LocalPostgres

@Suite struct BinariesTests {
  @Test func `the error names the package when PostgreSQL is not installed`() async throws {
    try await withDirectory { directory in
      let complaint = try await complaint {
        _ = try Binaries.find(forData: directory, given: nil, packages: directory, searchPath: "/nowhere:\(directory)")
      }
      #expect(complaint == "PostgreSQL is not installed: apt-get install postgresql")
    }
  }

  @Test func `the newest installed version is used`() async throws {
    try await withDirectory { directory in
      for major in [9, 15, 100] { try install("\(directory)/\(major)/bin") }
      try ServerDirectory("\(directory)/101/bin").create()  // left by a version that was removed
      let found = try Binaries.find(forData: directory + "/data", given: nil, packages: directory, searchPath: "")
      #expect(found.path == directory + "/100/bin")
    }
  }

  @Test func `existing data is served by the version that created it`() async throws {
    try await withDirectory { directory in
      for major in [15, 16] { try install("\(directory)/\(major)/bin") }
      try data(directory + "/data", major: 15)
      let found = try Binaries.find(forData: directory + "/data", given: nil, packages: directory, searchPath: "")
      #expect(found.path == directory + "/15/bin")
    }
  }

  @Test func `the error names the package when the data's version is missing`() async throws {
    try await withDirectory { directory in
      try install("\(directory)/16/bin")
      try data(directory + "/data", major: 15)
      let complaint = try await complaint {
        _ = try Binaries.find(forData: directory + "/data", given: nil, packages: directory, searchPath: "")
      }
      #expect(complaint.hasSuffix("apt-get install postgresql-15"))
    }
  }

  @Test func `PATH is searched after the package directories`() async throws {
    try await withDirectory { directory in
      try install(directory + "/bin")
      let found = try Binaries.find(
        forData: directory, given: nil, packages: "/nowhere", searchPath: "/nowhere:\(directory)/bin")
      #expect(found.path == directory + "/bin")
    }
  }

  @Test func `a configured directory is used before all others`() async throws {
    try await withDirectory { directory in
      for place in ["15/bin", "elsewhere"] { try install("\(directory)/\(place)") }
      try data(directory + "/data", major: 15)
      let found = try Binaries.find(
        forData: directory + "/data", given: directory + "/elsewhere", packages: directory, searchPath: "")
      #expect(found.path == directory + "/elsewhere")
      let complaint = try await complaint {
        _ = try Binaries.find(forData: directory, given: directory, packages: directory, searchPath: "")
      }
      #expect(complaint.contains("POSTGRES_BIN_DIR") && complaint.contains(directory))
    }
  }

  private func install(_ path: String) throws {
    try ServerDirectory(path).create()
    for program in ["postgres", "initdb", "psql"] { #expect(symlink("/bin/true", "\(path)/\(program)") == 0) }
  }

  private func data(_ path: String, major: Int) throws {
    try ServerDirectory(path).create()
    try write("\(major)\n", to: path + "/PG_VERSION")
  }
}
