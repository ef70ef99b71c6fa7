import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

/// The times and the ends of a connection, in a time of its own. What it does on real sockets is in FlashSaleTests.
@Suite struct ConnectionHandlerTests {
  /// A request whose body of one byte is missing.
  private static let begun = "POST /a HTTP/1.1\r\nHost: sale\r\nContent-Length: 1\r\n\r\n"

  // MARK: Order

  @Test func `responses have the order of the requests, one at a time`() throws {
    let connection = try TestConnection()
    for path in ["/a", "/b", "/c"] { try connection.request("GET", path) }
    for path in ["/a", "/b", "/c"] {
      #expect(connection.asked.count == 1)
      #expect(connection.respond() == "GET \(path)")
      #expect(try connection.statuses() == [200])
    }
    #expect(connection.asked.count == 0)
  }

  @Test func `a request is passed on when all of it has arrived`() throws {
    let connection = try TestConnection()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nContent-Length: 10\r\n\r\n")
    for part in ["123", "4567"] {
      try connection.receive(part)
      #expect(connection.asked.count == 0)
    }
    try connection.receive("890")
    #expect(connection.serve() == ["POST /a 1234567890"])
  }

  /// A client that sends without taking responses must not fill the memory.
  @Test func `nothing is read while requests wait`() throws {
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

  @Test func `nothing is read or responded to while responses are not taken`() throws {
    let connection = try TestConnection()
    connection.channel.isWritable = false
    connection.channel.read()
    try connection.request()
    #expect(connection.reads.count == 0 && connection.asked.count == 0)
    connection.channel.isWritable = true
    connection.channel.pipeline.fireChannelWritabilityChanged()
    #expect(connection.asked.count == 1)
    connection.respond()
    #expect(connection.reads.count == 1)
  }

  @Test func `what waits is dropped with the connection`() throws {
    let connection = try TestConnection()
    try connection.request()
    try connection.request()
    _ = try connection.channel.finish(acceptAlreadyClosed: true)
    connection.respond()
    #expect(connection.asked.count == 0)
  }

  /// The decoder alone knows whether it stops, so what is read could pile up.
  @Test func `nothing is read behind a request whose upgrade is unclear`() throws {
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

  @Test func `nothing is passed on behind a refusal`() throws {
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

  @Test func `a refusal waits for the responses before it`() throws {
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
  @Test func `a refused HEAD has no body`() throws {
    let connection = try TestConnection()
    try connection.receive("HEAD /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    let text = try connection.written()
    #expect(text.hasPrefix("HTTP/1.1 400 ") && text.hasSuffix("\r\n\r\n"))
    #expect(text.contains("Content-Length: ") && !text.contains("Content-Length: 0"))
  }

  @Test func `after a refusal the connection ends with the client's side`() throws {
    let connection = try TestConnection()
    try connection.receive("no HTTP\r\n\r\n")
    #expect(try connection.statuses() == [400])
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.inputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func `what is dropped after a refusal is bounded`() throws {
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
  @Test func `nothing behind Connection close is responded to`() throws {
    let connection = try TestConnection()
    try connection.request("GET", headers: "Connection: close\r\n")
    try connection.request("GET")
    #expect(connection.serve() == ["GET /a"])
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
  }

  @Test func `100-continue alone is met`() throws {
    var connection = try TestConnection()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
    #expect(try connection.written() == "HTTP/1.1 100 Continue\r\n\r\n")
    connection = try TestConnection()
    try connection.request(headers: "Expect: x\r\n")
    #expect(try connection.statuses() == [417])
    // It would have to wait for the response before it.
    connection = try TestConnection()
    try connection.request()
    try connection.receive("POST /a HTTP/1.1\r\nHost: sale\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
    #expect(try connection.written() == "")
  }

  // MARK: Times

  @Test func `the arrival of a request has a total deadline`() throws {
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

  @Test func `the deadline begins anew with each request`() throws {
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

  @Test func `an idle connection is closed, by the time of its last response`() throws {
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

  @Test func `a connection that is often used stays open`() throws {
    let connection = try TestConnection()
    for _ in 0..<10 {
      connection.advance(.seconds(50))
      try connection.request()
      connection.respond()
    }
    #expect(connection.channel.isActive)
  }

  @Test func `a long response is not cut when the client closes its side`() throws {
    let connection = try TestConnection()
    try connection.request("GET")
    connection.fire(ChannelEvent.inputClosed)
    connection.advance(.hours(1))
    connection.respond()
    #expect(try connection.statuses() == [200])
    #expect(!connection.channel.isActive)
  }

  @Test func `a long response is not cut by what the client sends meanwhile`() throws {
    let connection = try TestConnection()
    try connection.request("GET")
    try connection.receive("GET")
    connection.advance(.hours(1))
    #expect(connection.channel.isActive)
    #expect(try connection.statuses() == [])
    connection.respond()
    #expect(try connection.statuses() == [200, 408])
  }

  @Test func `a client that takes nothing is given up`() throws {
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

  @Test func `during shutdown a response is the last one`() throws {
    let connection = try TestConnection()
    try connection.request()
    connection.draining.begin()
    #expect(!connection.output.isOutputClosed)
    connection.respond()
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
    // Sent before the client could know.
    try connection.request()
    #expect(connection.serve() == [])
    // Not before the client has had the time to take it.
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.inputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func `during shutdown requests that were sent ahead are responded to`() throws {
    let connection = try TestConnection()
    try connection.request()
    try connection.request()
    try connection.receive(Self.begun)
    connection.draining.begin()
    connection.respond()
    connection.respond()
    // One has begun to arrive.
    #expect(try connection.responses() == ["1.1 200 -", "1.1 200 -"])
    try connection.receive("x")
    connection.respond()
    #expect(try connection.responses() == ["1.1 200 close"])
    #expect(connection.output.isOutputClosed)
  }

  /// It would be reset if something came at the same moment.
  @Test func `an idle connection is ended and not reset`() throws {
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

  @Test func `a request that was on its way at shutdown is responded to`() throws {
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
  func `a connection ends when what is under way is responded to`(isArriving: Bool) throws {
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

  /// Its limit is the idle timeout before, and short during shutdown.
  @Test(arguments: [false, true])
  func `a client has its time to take the last response`(isEnding: Bool) throws {
    let connection = try TestConnection()
    connection.output.isTaken = false
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

  @Test func `a client that closes its side has its time to take the last response, too`() throws {
    let connection = try TestConnection()
    connection.output.isTaken = false
    connection.draining.begin()
    try connection.request()
    connection.respond()
    connection.fire(ChannelEvent.inputClosed)
    #expect(connection.channel.isActive)
    connection.fire(ChannelEvent.outputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func `shutdown does not wait for the rest of a request`() throws {
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
  func `shutdown does not wait for a client that takes nothing`(since moment: TimeAmount) throws {
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
