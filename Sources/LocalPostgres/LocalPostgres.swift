/// A PostgreSQL server of one's own, for as long as a closure runs.
///
/// It keeps its data in a directory of the caller's, listens on a Unix socket that only its operating system user
/// and root can reach, on no TCP port, and is as durable as PostgreSQL is by default. It does not outlive the
/// process that started it, even when that process is killed.
///
/// ```swift
/// try await LocalPostgres.withServer(directory: ".flashsale", logger: logger) { server in
///   try await connect(to: server.databaseURL())
/// }
/// ```
package struct LocalPostgres: Sendable {
  /// The database that every server of this module has, and the role that owns it.
  static let name = "flashsale"

  /// PostgreSQL names its socket after the port, also when it listens on none.
  static let port = 5432

  /// Absolute path of the directory with the server's socket.
  let socketDirectory: String

  /// The libpq connection URI of a database of this server, over its Unix socket.
  ///
  /// It names host, port and user, so that no `PG…` variable of the environment can redirect it.
  ///
  /// - Parameter database: its name as PostgreSQL has it; it is percent-encoded here. Nothing checks that it exists.
  package func databaseURL(_ database: String = "flashsale") -> String {
    "postgresql://\(Self.name)@\(percentEncoded(socketDirectory)):\(Self.port)/\(percentEncoded(database))"
  }
}

/// Encodes all but the unreserved characters of RFC 3986, as libpq asks of each part of a URI
/// (libpq, "Connection URIs").
private func percentEncoded(_ text: String) -> String {
  var encoded = ""
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"):
      encoded.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      encoded += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
    }
  }
  return encoded
}
