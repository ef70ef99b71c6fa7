import Glibc
import Subprocess

/// An installed PostgreSQL: the directory of `postgres`, `initdb` and `psql`.
struct Binaries: Equatable, Sendable {
  /// Where Debian's packages, and those of apt.postgresql.org, keep one directory a major version.
  static let packages = "/usr/lib/postgresql"

  let path: String

  /// The directory that is given, if one is; else the version that made the data if there is some, since no other can read
  /// it; else the newest installed; else what is on `PATH`.
  ///
  /// - Parameters:
  ///   - data: the data directory, which need not exist.
  ///   - given: the directory of the programs, for a version that is installed elsewhere.
  ///   - packages: a directory of `<major version>/bin`.
  ///   - searchPath: as `PATH`.
  /// - Throws: ``LocalPostgresError`` when PostgreSQL, or the version needed, is not installed.
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
      "\(data) is of PostgreSQL \(needed), which is not installed: apt-get install postgresql-\(needed)")
  }

  /// What the children run with: these programs first on the path, their messages in English (they are searched for
  /// words), and none of the caller's `PG…` variables.
  var environment: Environment {
    var variables: [Environment.Key: String] = ["PATH": path, "LC_ALL": "C"]
    if let inherited = getenv("PATH") { variables["PATH"] = path + ":" + String(cString: inherited) }
    if let zone = getenv("TZ") { variables["TZ"] = String(cString: zone) }
    return .custom(variables)
  }

  /// Runs a script of psql.
  ///
  /// - Throws: ``LocalPostgresError`` with the first line of what psql complains of.
  func psql(_ url: String, _ script: String) async throws {
    var options = PlatformOptions()
    options.createSession = true  // so that Ctrl-C does not reach it
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
