import Glibc
import Subprocess

/// The directory with the programs `postgres`, `initdb` and `psql` of an installed PostgreSQL.
struct Binaries: Equatable, Sendable {
  /// The packages of Debian and apt.postgresql.org install each major version into a subdirectory of this one.
  static let packages = "/usr/lib/postgresql"

  let path: String

  /// Chooses the programs: `given`, if set; else the newest version below `packages`; else the first on `searchPath`.
  ///
  /// Existing data restricts `packages` to the major version that created it, because no other version can read it.
  ///
  /// - Parameters:
  ///   - data: the data directory. It need not exist.
  ///   - given: the directory of the programs.
  ///   - packages: a directory with subdirectories `<major version>/bin`.
  ///   - searchPath: directories, separated by colons.
  /// - Throws: ``LocalPostgresError`` when PostgreSQL, or the required version, is not installed.
  static func find(
    forData data: String,
    given: String? = getenv("POSTGRES_BIN_DIR").map { String(cString: $0) },
    packages: String = packages,
    searchPath: String = getenv("PATH").map { String(cString: $0) } ?? ""
  ) throws -> Binaries {
    if let given, !given.isEmpty {
      guard isComplete(given) else {
        throw LocalPostgresError("POSTGRES_BIN_DIR must be a directory with postgres, initdb and psql, not '\(given)'")
      }
      return Binaries(path: given)
    }
    let needed = text(ofFile: data + "/PG_VERSION").flatMap { Int($0.prefix { $0.isNumber }) }
    let majors = needed.map { [$0] } ?? ((try? names(in: packages)) ?? []).compactMap { Int($0) }.sorted(by: >)
    let candidates =
      majors.map { "\(packages)/\($0)/bin" } + searchPath.split(separator: ":").map(String.init)
    if let found = candidates.first(where: isComplete) { return Binaries(path: found) }
    guard let needed else {
      throw LocalPostgresError("PostgreSQL is not installed: apt-get install postgresql")
    }
    throw LocalPostgresError(
      "\(data) was created by PostgreSQL \(needed), which is not installed: apt-get install postgresql-\(needed)")
  }

  /// The environment of the programs. ``path`` is first on `PATH`. Messages are English, because ``ServerLog`` searches
  /// them. The caller's `PG…` variables are left out.
  var environment: Environment {
    var variables: [Environment.Key: String] = ["PATH": path, "LC_ALL": "C"]
    if let inherited = getenv("PATH") { variables["PATH"] = path + ":" + String(cString: inherited) }
    if let zone = getenv("TZ") { variables["TZ"] = String(cString: zone) }
    return .custom(variables)
  }

  /// Runs a psql script.
  ///
  /// - Throws: ``LocalPostgresError`` with the first line of psql's standard error.
  func psql(_ url: String, _ script: String) async throws {
    var options = PlatformOptions()
    options.createSession = true  // Ctrl-C does not reach another session.
    let result = try await run(
      .name("psql"), arguments: ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"],
      environment: environment, platformOptions: options, input: .string(script), output: .discarded,
      error: .string(limit: 65_536))
    guard result.terminationStatus.isSuccess else {
      let complaint = result.standardError.split(separator: "\n").first ?? "\(result.terminationStatus)"
      throw LocalPostgresError("psql failed: \(complaint)")
    }
  }

  private static func isComplete(_ directory: String) -> Bool {
    ["postgres", "initdb", "psql"].allSatisfy { access("\(directory)/\($0)", X_OK) == 0 }
  }
}
