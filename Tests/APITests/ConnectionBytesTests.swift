import NIOCore
import Testing

@testable import API

/// How a connection divides bytes into requests, and which bytes it refuses.
@Suite struct ConnectionBytesTests {
  private static let next = "GET /next HTTP/1.1\r\nHost: sale\r\n\r\n"

  private static func upgrading(
    _ connection: String = "Upgrade, HTTP2-Settings", version: String = "1.1", method: String = "GET",
    rest: String = "\r\n"
  ) -> String {
    "\(method) /first HTTP/\(version)\r\nHost: sale\r\nConnection: \(connection)\r\nUpgrade: h2c\r\n"
      + "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\(rest)"
  }

  // MARK: Upgrade

  /// The test splits the bytes at each position, because the decoder keeps an incomplete part until the next read.
  @Test func `requests after an ignored upgrade get responses, wherever a read ends`() throws {
    let text = Self.upgrading() + Self.upgrading() + Self.next
    for cut in 0...text.utf8.count {
      let connection = try TestConnection()
      try connection.receive(text, cutAt: cut)
      #expect(connection.serve() == ["GET /first", "GET /first", "GET /next"], "\(cut)")
      #expect(try connection.responses() == ["1.1 200 -", "1.1 200 -", "1.1 200 -"])
      #expect(connection.channel.isActive)
    }
  }

  @Test func `the body of a request with Upgrade is not read as the next request`() throws {
    for (rest, body) in [
      ("Content-Length: 5\r\n\r\nGET /", "GET /"), ("Content-Length: 0\r\n\r\n", ""),
      ("Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n", "GET /"),
      ("Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "GET /"),
    ] {
      let text = Self.upgrading(method: "POST", rest: rest) + Self.next
      for cut in 0...text.utf8.count {
        let connection = try TestConnection()
        try connection.receive(text, cutAt: cut)
        #expect(
          connection.serve() == ["POST /first" + (body.isEmpty ? "" : " " + body), "GET /next"], "\(rest) \(cut)")
      }
    }
  }

  /// The decoder stops after some of these requests and not after others. If it stops, the remaining bytes are the next
  /// request. If it does not stop, they must not be decoded again.
  @Test(arguments: [
    "Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade, HTTP2-Settings", "Upgrade,HTTP2-Settings",
    "x, y, upgrade", "x-upgrade", "upgraded", "upgrade-insecure", "keep-alive", "HTTP2-Settings", " Upgrade ",
    "a,upgrade",
  ])
  func `each request after an Upgrade field is decoded exactly once`(value: String) throws {
    for trailing in [Self.next, Self.next + Self.next, Self.next + "GET /par"] {
      let connection = try TestConnection()
      try connection.receive(Self.upgrading(value) + trailing)
      var requests = connection.serve()
      #expect(requests.first == "GET /first")
      requests.removeFirst()
      #expect(requests == Array(repeating: "GET /next", count: requests.count))
      #expect(requests.count == (trailing == Self.next + Self.next ? 2 : 1), "\(trailing)")
      if trailing.hasSuffix("/par") {
        try connection.receive("tial HTTP/1.1\r\nHost: sale\r\n\r\n")
        #expect(connection.serve() == ["GET /partial"])
      }
      #expect(connection.channel.isActive)
    }
  }

  /// Only the decoder knows whether it stops at these fields. The connection therefore reads nothing after them.
  @Test(arguments: [
    "upgrade;x", "x upgrade", "upgrade upgrade", ",upgrade", "upgrade,", "\"upgrade\"", "upgrade,,x", "x;upgrade",
  ])
  func `an ambiguous Connection field closes the connection after the response`(value: String) throws {
    let connection = try TestConnection()
    try connection.receive(Self.upgrading(value))
    #expect(connection.serve() == ["GET /first"])
    #expect(try connection.responses() == ["1.1 200 close"])
  }

  @Test func `Upgrade does not keep a connection open that the request closes`() throws {
    for text in [Self.upgrading("close, Upgrade"), Self.upgrading("Upgrade", version: "1.0")] {
      let connection = try TestConnection()
      try connection.receive(text + Self.next)
      #expect(connection.serve() == ["GET /first"])
      #expect(try connection.responses() == ["1.1 200 close"])
    }
  }

  @Test func `no request after CONNECT is read`() throws {
    let connection = try TestConnection()
    try connection.receive(
      "CONNECT sale:80 HTTP/1.1\r\nHost: sale\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + Self.next)
    #expect(try connection.responses() == ["1.1 404 close"])
    #expect(connection.serve() == [])
  }

  // MARK: Chunks

  private static let chunked = "POST / HTTP/1.1\r\nHost: sale\r\nTransfer-Encoding: chunked\r\n\r\n"

  @Test func `chunk extensions count towards the body limit`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked)
    var sent = 0
    while try connection.responses().isEmpty, sent < 20_000 {
      #expect(connection.channel.isActive)
      try connection.receive("1;" + String(repeating: "x", count: 500) + "\r\na\r\n")
      sent += 507
    }
    #expect(sent > 5000 && sent < 6000)
    #expect(connection.serve() == [])
  }

  @Test func `a long chunk extension is refused before it ends`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked + "1;")
    for _ in 0..<6 { try connection.receive(String(repeating: "x", count: 1000)) }
    #expect(try connection.responses() == ["1.1 413 close"])
    // The bytes after the refusal are bounded, too.
    for _ in 0..<1100 { try connection.receive(String(repeating: "x", count: 1000)) }
    #expect(!connection.channel.isActive)
  }

  @Test func `trailers count towards the body limit`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked + "1\r\na\r\n0\r\n")
    for number in 0..<60 { try connection.receive("X\(number): \(String(repeating: "x", count: 100))\r\n") }
    #expect(try connection.responses() == ["1.1 413 close"])
  }

  /// The read with the last chunk may contain further requests.
  @Test func `bytes after a chunked body do not count towards its limit`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked)
    try connection.receive("1\r\na\r\n0\r\n\r\n" + String(repeating: Self.next, count: 200))
    let passed = connection.serve()
    #expect(passed.count == 201 && passed[0] == "POST / a")
    // The bytes of the first body do not count for the next body.
    try connection.receive(Self.chunked + "1\r\nb\r\n0\r\n\r\n")
    #expect(connection.serve() == ["POST / b"])
    #expect(try connection.responses().allSatisfy { $0 == "1.1 200 -" })
  }

  @Test(arguments: ["chunked", "Chunked", "  chunked"])
  func `chunked is accepted in any letter case and with leading white space`(value: String) throws {
    let connection = try TestConnection()
    try connection.receive("POST / HTTP/1.1\r\nHost: sale\r\nTransfer-Encoding: \(value)\r\n\r\n1\r\na\r\n0\r\n\r\n")
    #expect(connection.serve() == ["POST / a"])
  }

  @Test(arguments: [
    "gzip, chunked", "chunked, chunked", "identity, chunked", "chunked\r\nTransfer-Encoding: chunked",
    "identity\r\nTransfer-Encoding: chunked", "x-chunked", "chunked;x", "gzip", "identity", "chunked, identity",
    ",chunked",
    "\r\nTransfer-Encoding: chunked",
  ])
  func `any other transfer encoding is refused`(value: String) throws {
    let connection = try TestConnection()
    try connection.receive(
      "POST / HTTP/1.1\r\nHost: sale\r\nTransfer-Encoding: \(value)\r\n\r\n1\r\na\r\n0\r\n\r\n" + Self.next)
    #expect(connection.serve() == [])
    #expect(try connection.responses() == ["1.1 400 close"])
  }

  // MARK: HTTP/1.0

  private static func old(_ path: String, _ headers: String = "Connection: keep-alive\r\n") -> String {
    "GET \(path) HTTP/1.0\r\n\(headers)\r\n"
  }

  @Test func `a chunked request in HTTP 1.0 is refused`() throws {
    let connection = try TestConnection()
    try connection.receive(
      "POST / HTTP/1.0\r\nHost: sale\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    )
    #expect(connection.serve() == [])
    #expect(try connection.responses() == ["1.1 400 close"])
  }

  @Test func `each pipelined request keeps its own Connection option`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.old("/a") + Self.next + Self.old("/b") + Self.old("/c", ""))
    #expect(connection.serve() == ["GET /a", "GET /next", "GET /b", "GET /c"])
    #expect(try connection.responses() == ["1.1 200 keep-alive", "1.1 200 -", "1.1 200 keep-alive", "1.1 200 close"])
  }

  // MARK: Hosts

  @Test func `an invalid host is refused`() throws {
    for host in ["a:99999x", "[::1", "a<b>", "a, b"] {
      let connection = try TestConnection()
      try connection.receive("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(try connection.responses() == ["1.1 400 close"], "\(host)")
    }
  }

  @Test func `a server for loopback names refuses other hosts`() throws {
    var configuration = TestConnection.configuration
    configuration.isForLoopbackNames = true
    for (host, isAnswered) in [
      ("localhost:80", true), ("127.0.0.1", true), ("[::1]:1", true), ("evil.example", false), ("", false),
    ] {
      let connection = try TestConnection(configuration: configuration)
      try connection.receive("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(connection.serve().count == (isAnswered ? 1 : 0), "\(host)")
      #expect(try connection.responses() == [isAnswered ? "1.1 200 -" : "1.1 421 close"], "\(host)")
    }
  }
}
