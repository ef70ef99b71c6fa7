import Glibc
import Testing

/// A TCP port of 127.0.0.1 that accepts connections and sends nothing.
final class SilentServer: Sendable {
  let port: UInt16
  private let descriptor: Int32

  init() throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    try #require(descriptor >= 0)
    self.descriptor = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = try withUnsafeMutablePointer(to: &address) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        try #require(bind(descriptor, pointer, length) == 0)
        try #require(listen(descriptor, 128) == 0)
        try #require(getsockname(descriptor, pointer, &length) == 0)
      }
      return $0.pointee.sin_port
    }
    self.port = UInt16(bigEndian: port)
  }

  deinit { close(descriptor) }

  var url: String { "postgresql://nobody@127.0.0.1:\(port)/nothing?sslmode=disable" }

  /// The number of new connections since the last call. The kernel accepts them without this process.
  func newConnections() -> Int {
    var count = 0
    while case let client = accept(descriptor, nil, nil), client >= 0 {
      close(client)
      count += 1
    }
    return count
  }

  /// Logs the next client in without a password, and sends nothing more.
  ///
  /// - Returns: this end of the connection, nil when no client has connected.
  func logIn() -> Int32? {
    let client = accept(descriptor, nil, nil)
    guard client >= 0 else { return nil }
    // AuthenticationOk, ReadyForQuery ("Message Formats" in PostgreSQL's documentation).
    let messages = Array("R\0\0\0\u{8}\0\0\0\0Z\0\0\0\u{5}I".utf8)
    write(client, messages, messages.count)
    return client
  }
}
