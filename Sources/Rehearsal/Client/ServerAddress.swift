import Foundation
import NIOCore

/// The server that is rehearsed with, from the URL of `--url`.
package struct ServerAddress: Equatable, Sendable {
  package let host: String
  package let port: Int

  /// - Parameter url: `http://`, a host, and optionally a port. Nil for any other URL, also with a path or a user.
  package init?(url: String) {
    guard let parts = URLComponents(string: url), parts.scheme?.lowercased() == "http", let host = parts.host,
      !host.isEmpty, parts.path.isEmpty || parts.path == "/", parts.user == nil, parts.query == nil,
      parts.fragment == nil, 1...65535 ~= parts.port ?? 80
    else { return nil }
    // An IPv6 address is in brackets.
    self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    port = parts.port ?? 80
  }

  /// The value of `Host`.
  var authority: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }

  package var url: String { "http://\(authority)" }

  /// Resolves the host. Blocks the thread meanwhile.
  ///
  /// - Throws: `RehearsalError` when the host has no address.
  func resolve() throws -> SocketAddress {
    do {
      return try SocketAddress.makeAddressResolvingHost(host, port: port)
    } catch {
      throw RehearsalError("the host '\(host)' cannot be resolved; check --url")
    }
  }
}
