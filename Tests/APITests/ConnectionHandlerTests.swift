import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

/// The order, the timeouts and the end of a connection, on an embedded clock. FlashSaleTests use real sockets.
@Suite struct ConnectionHandlerTests {
  /// The head of a request whose body has one byte.
  private static let begun = "POST /a HTTP/1.1\r\nHost: sale\r\nContent-Length: 1\r\n\r\n"

  // MARK: Order

  @Test func `pipelined requests get their responses in order, one at a time`() throws {
    let connection = try TestConnection()
    for path in ["/a", "/b", "/c"] { try connection.request("GET", path) }
    for path in ["/a", "/b", "/c"] {
      #expect(connection.waiting.count == 1)
      #expect(connection.respond() == "GET \(path)")
      #expect(try connection.statuses() == [200])
    }
    #expect(connection.waiting.count == 0)
  }

  @Test func `a request reaches its route when it has arrived completely`() throws {
    let connection = try TestConnection()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nContent-Length: 10\r\n\r\n")
    for part in ["123", "4567"] {
      try connection.receive(part)
      #expect(connection.waiting.count == 0)
    }
    try connection.receive("890")
    #expect(connection.serve() == ["POST /a 1234567890"])
  }

  @Test func `a route may accept larger bodies than the others`() throws {
    let large = Route(
      .POST, "/large", maximumBodyBytes: 2000,
      callback: { request, respond in
        let size = request.body.readableBytes
        respond { Response(contentType: "text/plain", body: ByteBuffer(string: "\(size)")) }
      })
    for (path, size, status) in [("/large", 2000, 200), ("/large", 2001, 413), ("/a", 1001, 413)] {
      let connection = try TestConnection(routes: [large])
      try connection.request("POST", path, body: String(repeating: "x", count: size))
      connection.channel.embeddedEventLoop.run()
      #expect(try connection.statuses() == [status], "\(path) \(size)")
    }
  }

  /// A client that sends requests and reads no responses must not fill the memory.
  @Test func `the connection is not read while a request waits`() throws {
    let connection = try TestConnection()
    try connection.request()
    connection.channel.read()
    #expect(connection.reads.count == 1)
    try connection.request()
    connection.channel.read()
    #expect(connection.reads.count == 1)
    connection.respond()
    #expect(connection.reads.count == 2)
  }

  @Test func `no request is read or handled while the client does not read`() throws {
    let connection = try TestConnection()
    connection.channel.isWritable = false
    connection.channel.read()
    try connection.request()
    #expect(connection.reads.count == 0 && connection.waiting.count == 0)
    connection.channel.isWritable = true
    connection.channel.pipeline.fireChannelWritabilityChanged()
    #expect(connection.waiting.count == 1)
    connection.respond()
    #expect(connection.reads.count == 1)
  }

  @Test func `waiting requests are dropped when the connection closes`() throws {
    let connection = try TestConnection()
    try connection.request()
    try connection.request()
    _ = try connection.channel.finish(acceptAlreadyClosed: true)
    connection.respond()
    #expect(connection.waiting.count == 0)
  }

  /// Only the decoder knows whether it stops. If it does, further input would accumulate.
  @Test func `nothing is read after a request with an ambiguous upgrade`() throws {
    let connection = try TestConnection()
    try connection.receive(
      "POST /a HTTP/1.1\r\nHost: sale\r\nUpgrade: x\r\nConnection: x; upgrade\r\nContent-Length: 1\r\n\r\n")
    connection.channel.read()
    #expect(connection.reads.count == 1)
    try connection.receive("x")
    connection.channel.read()
    #expect(connection.reads.count == 1)
  }

  // MARK: Refusals

  @Test func `no request after a refusal reaches a route`() throws {
    let connection = try TestConnection()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nContent-Length: 1001\r\n\r\n")
    #expect(try connection.responses() == ["1.1 413 close"])
    try connection.request()
    #expect(connection.serve() == [])
    #expect(try connection.written() == "")
    #expect(connection.channel.isActive)
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  @Test func `a refusal is sent after the responses before it`() throws {
    let connection = try TestConnection()
    try connection.request()
    try connection.request()
    try connection.receive("no HTTP\r\n\r\n")
    #expect(try connection.statuses() == [])
    connection.respond()
    #expect(try connection.statuses() == [200])
    connection.respond()
    #expect(try connection.statuses() == [200, 400])
  }

  /// RFC 9110, section 9.3.2.
  @Test func `the refusal of a HEAD request has no body`() throws {
    let connection = try TestConnection()
    try connection.receive("HEAD /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    let text = try connection.written()
    #expect(text.hasPrefix("HTTP/1.1 400 ") && text.hasSuffix("\r\n\r\n"))
    #expect(text.contains("Content-Length: ") && !text.contains("Content-Length: 0"))
  }

  @Test func `after a refusal the connection closes when the client closes its side`() throws {
    let connection = try TestConnection()
    try connection.receive("no HTTP\r\n\r\n")
    #expect(try connection.statuses() == [400])
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.inputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func `the input that is dropped after a refusal is bounded`() throws {
    for first in ["no HTTP\r\n\r\n", "POST /a HTTP/1.1\r\nHost: sale\r\nContent-Length: 1000000000\r\n\r\n"] {
      let connection = try TestConnection()
      try connection.receive(first)
      for _ in 0..<16 { try connection.receive(String(repeating: "x", count: 1 << 16)) }
      #expect(connection.channel.isActive, "\(first)")
      try connection.receive("x")
      #expect(!connection.channel.isActive, "\(first)")
    }
  }

  /// RFC 9112, section 9.6.
  @Test func `pipelined requests after Connection: close are not answered`() throws {
    let connection = try TestConnection()
    try connection.request("GET", headers: "Connection: close\r\n")
    try connection.request("GET")
    #expect(connection.serve() == ["GET /a"])
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
  }

  @Test func `100-continue is the only expectation that is met`() throws {
    var connection = try TestConnection()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
    #expect(try connection.written() == "HTTP/1.1 100 Continue\r\n\r\n")
    connection = try TestConnection()
    try connection.request(headers: "Expect: x\r\n")
    #expect(try connection.statuses() == [417])
    // No 100 Continue is sent, because it would have to wait for the response before it.
    connection = try TestConnection()
    try connection.request()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
    #expect(try connection.written() == "")
  }

  // MARK: Times

  @Test func `a request must arrive before a total deadline`() throws {
    let connection = try TestConnection()
    try connection.receive("POST /a HTTP")
    connection.advance(.seconds(6))
    try connection.receive("/1.1\r\nHost: sale\r\nContent-Length: 2\r\n\r\n")
    connection.advance(.seconds(3))
    try connection.receive("x")
    #expect(try connection.statuses() == [])
    connection.advance(.seconds(1))
    #expect(try connection.statuses() == [408])
  }

  @Test func `each request has a deadline of its own`() throws {
    let connection = try TestConnection()
    for _ in 0..<3 {
      try connection.receive(Self.begun)
      connection.advance(.seconds(9))
      try connection.receive("x")
      connection.advance(.hours(1))
      connection.respond()
    }
    #expect(try connection.statuses() == [200, 200, 200])
    #expect(connection.channel.isActive)
  }

  @Test func `the idle timeout closes a connection, counted from its last response`() throws {
    let connection = try TestConnection()
    connection.advance(.seconds(59))
    try connection.request()
    connection.advance(.hours(1))
    connection.respond()
    connection.advance(.seconds(59))
    #expect(connection.channel.isActive)
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
    #expect(try connection.statuses() == [200])
  }

  @Test func `a connection in regular use stays open`() throws {
    let connection = try TestConnection()
    for _ in 0..<10 {
      connection.advance(.seconds(50))
      try connection.request()
      connection.respond()
    }
    #expect(connection.channel.isActive)
  }

  @Test func `a late response is sent although the client has closed its side`() throws {
    let connection = try TestConnection()
    try connection.request("GET")
    connection.fire(ChannelEvent.inputClosed)
    connection.advance(.hours(1))
    connection.respond()
    #expect(try connection.statuses() == [200])
    #expect(!connection.channel.isActive)
  }

  @Test func `a late response is sent although the next request does not arrive completely`() throws {
    let connection = try TestConnection()
    try connection.request("GET")
    try connection.receive("GET")
    connection.advance(.hours(1))
    #expect(connection.channel.isActive)
    #expect(try connection.statuses() == [])
    connection.respond()
    #expect(try connection.statuses() == [200, 408])
  }

  @Test func `the idle timeout closes the connection of a client that does not read`() throws {
    let connection = try TestConnection()
    try connection.request("GET")
    for isWritable in [false, true, false] {
      connection.channel.isWritable = isWritable
      connection.channel.pipeline.fireChannelWritabilityChanged()
      connection.advance(.seconds(59))
    }
    #expect(connection.channel.isActive)
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  // MARK: Shutdown

  @Test func `the first response after the start of shutdown ends the connection`() throws {
    let connection = try TestConnection()
    try connection.request()
    connection.draining.begin()
    #expect(!connection.output.isOutputClosed)
    connection.respond()
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
    // The client may send this before it knows of the shutdown.
    try connection.request()
    #expect(connection.serve() == [])
    // The connection stays open, so that the client can read the response.
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.inputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func `pipelined requests get their responses during shutdown`() throws {
    let connection = try TestConnection()
    try connection.request()
    try connection.request()
    try connection.receive(Self.begun)
    connection.draining.begin()
    connection.respond()
    connection.respond()
    // The third request has begun to arrive, so the connection stays open for it.
    #expect(try connection.responses() == ["1.1 200 -", "1.1 200 -"])
    try connection.receive("x")
    connection.respond()
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
  }

  /// The client may send a request at the same moment. Closing both sides at once would then reset the connection.
  @Test func `shutdown closes an idle connection without a reset`() throws {
    let connection = try TestConnection()
    connection.fire(ChannelShouldQuiesceEvent())
    #expect(!connection.output.isOutputClosed)
    connection.advance(.milliseconds(200))
    #expect(connection.output.isOutputClosed && connection.channel.isActive)
    try connection.request()
    #expect(connection.serve() == [])
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  @Test func `a request in transit at shutdown gets its response`() throws {
    let connection = try TestConnection()
    connection.draining.begin()
    connection.fire(ChannelShouldQuiesceEvent())
    connection.advance(.milliseconds(100))
    try connection.request()
    connection.advance(.seconds(1))
    #expect(!connection.output.isOutputClosed)
    connection.respond()
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
  }

  @Test(arguments: [false, true])
  func `shutdown ends a connection after the response in progress`(isArriving: Bool) throws {
    let connection = try TestConnection()
    try connection.receive(Self.begun)
    if !isArriving { try connection.receive("x") }
    connection.draining.begin()
    connection.fire(ChannelShouldQuiesceEvent())
    #expect(!connection.output.isOutputClosed)
    if isArriving { try connection.receive("x") }
    #expect(!connection.output.isOutputClosed)
    connection.respond()
    #expect(connection.output.isOutputClosed)
  }

  /// The limit is the idle timeout, and is shorter during shutdown.
  @Test(arguments: [false, true])
  func `a client has time to read the last response`(isEnding: Bool) throws {
    let connection = try TestConnection()
    connection.output.isRead = false
    if isEnding { connection.fire(ChannelShouldQuiesceEvent()) }
    try connection.receive("no HTTP\r\n\r\n")
    #expect(connection.output.isOutputClosed)
    connection.advance(.milliseconds(2500))
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.outputClosed)
    connection.advance(.milliseconds(isEnding ? 400 : 900))
    #expect(connection.channel.isActive)
    connection.advance(.milliseconds(100))
    #expect(!connection.channel.isActive)
  }

  @Test func `a client that closed its side has time to read the last response`() throws {
    let connection = try TestConnection()
    connection.output.isRead = false
    connection.draining.begin()
    try connection.request()
    connection.respond()
    connection.fire(ChannelEvent.inputClosed)
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.outputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func `shutdown does not wait for an incomplete request`() throws {
    let connection = try TestConnection()
    connection.fire(ChannelShouldQuiesceEvent())
    connection.advance(.milliseconds(100))
    try connection.receive(Self.begun)
    connection.advance(.milliseconds(2900))
    #expect(try connection.statuses() == [408])
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  @Test(arguments: [TimeAmount.zero, .seconds(4)])
  func `shutdown does not wait for a client that does not read`(since moment: TimeAmount) throws {
    let connection = try TestConnection()
    try connection.request()
    connection.fire(ChannelShouldQuiesceEvent())
    connection.advance(moment)
    connection.channel.isWritable = false
    connection.channel.pipeline.fireChannelWritabilityChanged()
    connection.advance(.milliseconds(2999))
    #expect(connection.channel.isActive)
    connection.advance(.milliseconds(1))
    #expect(!connection.channel.isActive)
  }
}
