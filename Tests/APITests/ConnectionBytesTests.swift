import NIOCore
import Testing

@testable import API

/// What a connection makes of bytes: where requests end, and what is refused.
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

  /// Cut at every place, since the decoder keeps what it has not understood yet.
  @Test func `a connection goes on behind a request for another protocol, wherever the bytes are cut`() throws {
    let text = Self.upgrading() + Self.upgrading() + Self.next
    for cut in 0...text.utf8.count {
      let connection = try TestConnection()
      try connection.receive(text, cutAt: cut)
      #expect(connection.serve() == ["GET /first", "GET /first", "GET /next"], "\(cut)")
      #expect(try connection.responses() == ["1.1 200 -", "1.1 200 -", "1.1 200 -"])
      #expect(connection.channel.isActive)
    }
  }

  @Test func `the body of a request for another protocol is its own`() throws {
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

  /// Where the decoder stops, the rest is the next request; where it does not, the rest is not decoded twice. The decoder is
  /// the judge: whatever the field looks like, what passes is what was sent.
  @Test(arguments: [
    "Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade, HTTP2-Settings", "Upgrade,HTTP2-Settings",
    "x, y, upgrade", "x-upgrade", "upgraded", "upgrade-insecure", "keep-alive", "HTTP2-Settings", " Upgrade ",
    "a,upgrade",
  ])
  func `whether the decoder stops is known from a plain field`(value: String) throws {
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

  /// Nobody but the decoder knows what these are to it, so what follows is not read.
  @Test(arguments: [
    "upgrade;x", "x upgrade", "upgrade upgrade", ",upgrade", "upgrade,", "\"upgrade\"", "upgrade,,x", "x;upgrade",
  ])
  func `an unclear field ends the connection`(value: String) throws {
    let connection = try TestConnection()
    try connection.receive(Self.upgrading(value))
    #expect(connection.serve() == ["GET /first"])
    #expect(try connection.responses() == ["1.1 200 close"])
  }

  @Test func `a request that ends its connection ends it with Upgrade as well`() throws {
    for text in [Self.upgrading("close, Upgrade"), Self.upgrading("Upgrade", version: "1.0")] {
      let connection = try TestConnection()
      try connection.receive(text + Self.next)
      #expect(connection.serve() == ["GET /first"])
      #expect(try connection.responses() == ["1.1 200 close"])
    }
  }

  @Test func `nothing behind CONNECT is read`() throws {
    let connection = try TestConnection()
    try connection.receive(
      "CONNECT sale:80 HTTP/1.1\r\nHost: sale\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + Self.next)
    #expect(try connection.responses() == ["1.1 404 close"])
    #expect(connection.serve() == [])
  }

  // MARK: Chunks

  private static let chunked = "POST / HTTP/1.1\r\nHost: sale\r\nTransfer-Encoding: chunked\r\n\r\n"

  @Test func `chunk extensions count as much as content`() throws {
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

  @Test func `one long extension is refused before its end`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked + "1;")
    for _ in 0..<6 { try connection.receive(String(repeating: "x", count: 1000)) }
    #expect(try connection.responses() == ["1.1 413 close"])
    // What comes behind the refusal is bounded, too.
    for _ in 0..<1100 { try connection.receive(String(repeating: "x", count: 1000)) }
    #expect(!connection.channel.isActive)
  }

  @Test func `trailers count`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked + "1\r\na\r\n0\r\n")
    for number in 0..<60 { try connection.receive("X\(number): \(String(repeating: "x", count: 100))\r\n") }
    #expect(try connection.responses() == ["1.1 413 close"])
  }

  /// The last read may bring other requests, whose bytes are their own.
  @Test func `what comes behind a body in chunks does not count for it`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.chunked)
    try connection.receive("1\r\na\r\n0\r\n\r\n" + String(repeating: Self.next, count: 200))
    let passed = connection.serve()
    #expect(passed.count == 201 && passed[0] == "POST / a")
    // And its bytes do not count for the one behind it.
    try connection.receive(Self.chunked + "1\r\nb\r\n0\r\n\r\n")
    #expect(connection.serve() == ["POST / b"])
    #expect(try connection.responses().allSatisfy { $0 == "1.1 200 -" })
  }

  @Test(arguments: ["chunked", "Chunked", "  chunked"])
  func `chunked is taken however it is spelled`(value: String) throws {
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

  @Test func `HTTP 1.0 has no chunks in a request`() throws {
    let connection = try TestConnection()
    try connection.receive(
      "POST / HTTP/1.0\r\nHost: sale\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    )
    #expect(connection.serve() == [])
    #expect(try connection.responses() == ["1.1 400 close"])
  }

  @Test func `each request keeps its own connection option when several are sent ahead`() throws {
    let connection = try TestConnection()
    try connection.receive(Self.old("/a") + Self.next + Self.old("/b") + Self.old("/c", ""))
    #expect(connection.serve() == ["GET /a", "GET /next", "GET /b", "GET /c"])
    #expect(try connection.responses() == ["1.1 200 keep-alive", "1.1 200 -", "1.1 200 keep-alive", "1.1 200 close"])
  }

  /// HTTP/1.0 knows no chunks, so that only the end of the connection tells the end.
  // MARK: Hosts

  @Test func `a host that is none is refused`() throws {
    for host in ["a:99999x", "[::1", "a<b>", "a, b"] {
      let connection = try TestConnection()
      try connection.receive("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(try connection.responses() == ["1.1 400 close"], "\(host)")
    }
  }

  @Test func `a server for this machine answers to its names alone`() throws {
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
