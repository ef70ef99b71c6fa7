import Glibc
import Testing

/// A TCP port of 127.0.0.1 that connects whoever calls and never says a word.
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

  /// How many have called since the last time this was asked. The system connects them without our doing.
  func calls() -> Int {
    var count = 0
    while case let caller = accept(descriptor, nil, nil), caller >= 0 {
      close(caller)
      count += 1
    }
    return count
  }

  /// Lets the next caller in as PostgreSQL does one that it trusts, and is silent from then on.
  ///
  /// - Returns: our end of the connection, nil when nobody has called.
  func letIn() -> Int32? {
    let caller = accept(descriptor, nil, nil)
    guard caller >= 0 else { return nil }
    // AuthenticationOk, ReadyForQuery ("Message Formats" in PostgreSQL's documentation).
    let messages = Array("R\0\0\0\u{8}\0\0\0\0Z\0\0\0\u{5}I".utf8)
    write(caller, messages, messages.count)
    return caller
  }
}
