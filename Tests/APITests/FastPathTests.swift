import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import API

/// The fast path by itself: its routes answer when the test says so.
@Suite struct FastPathTests {
  /// Requests of the route that wait for their answers.
  private final class Asked: Sendable {
    let requests = Mutex<[(request: FastRoute.Request, reply: FastRoute.Reply)]>([])

    var count: Int { requests.withLock { $0.count } }
    var last: FastRoute.Request? { requests.withLock { $0.last?.request } }

    /// Answers the one that has waited the longest.
    func answer(_ text: String) {
      let reply = requests.withLock { $0.removeFirst().reply }
      reply { Answer(status: .ok, contentType: "text/plain", body: ByteBuffer(string: text)) }
    }
  }

  /// Stands for the handler behind, which hands out what it has got at the end of a read and not before.
  private final class HandsOutAtTheEndOfARead: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    private var parts: [NIOAny] = []

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { parts.append(data) }

    func channelReadComplete(context: ChannelHandlerContext) {
      for part in parts { context.fireChannelRead(part) }
      parts = []
    }
  }

  private struct Connection {
    let channel: EmbeddedChannel
    let asked = Asked()

    init() throws {
      let asked = asked
      let routes = [
        FastRoute(.post, "/fast") { request, reply in asked.requests.withLock { $0.append((request, reply)) } },
        FastRoute(.get, "/things/{id}") { request, reply in asked.requests.withLock { $0.append((request, reply)) } },
        FastRoute(.post, "/wrong") { _, _ in throw Problem.holdExpired },
      ]
      let fastRoutes = FastRoutes(routes: routes, metrics: nil, spans: nil, logger: Logger(label: "test"))
      channel = EmbeddedChannel(handlers: [FastPath(routes: fastRoutes), HandsOutAtTheEndOfARead()])
      try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
    }

    func send(
      _ method: HTTPMethod, _ uri: String, version: HTTPVersion = .http1_1, headers: HTTPHeaders = [:],
      body: String? = nil
    ) throws {
      let head = HTTPRequestHead(version: version, method: method, uri: uri, headers: headers)
      try channel.writeInbound(WholeRequest(head: head, body: body.map { ByteBuffer(string: $0) }, trailers: nil))
    }

    /// What a handler behind the path answers to the request that it got first.
    func answerPassedOn() throws {
      try channel.writeOutbound(HTTPServerResponsePart.head(.init(version: .http1_1, status: .accepted)))
      try channel.writeOutbound(HTTPServerResponsePart.end(nil))
    }

    /// The addresses of the requests that were passed on since the last call.
    func passedOn() throws -> [String] {
      var addresses: [String] = []
      while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
        if case .head(let head) = part { addresses.append(head.uri) }
      }
      return addresses
    }

    /// The statuses and bodies written since the last call.
    func written() throws -> [String] {
      channel.embeddedEventLoop.run()
      var texts: [String] = []
      while let outgoing = try channel.readOutbound(as: Outgoing.self) {
        switch outgoing {
        case .answer(let answer, _): texts.append("\(answer.status.code) \(String(buffer: answer.body))")
        case .part(.head(let head)): texts.append("\(head.status.code)")
        case .part: break
        }
      }
      return texts
    }
  }

  @Test func answersWhatItsRoutesKnow() throws {
    let connection = try Connection()
    try connection.send(.POST, "/fast", headers: ["X-Request-Id": "mine"], body: "hello")
    #expect(connection.asked.last.map { String(buffer: $0.body) } == "hello")
    connection.asked.answer("a")
    connection.channel.embeddedEventLoop.run()
    guard case .answer(let answer, "mine")? = try connection.channel.readOutbound(as: Outgoing.self) else {
      Issue.record("no answer")
      return
    }
    #expect(String(buffer: answer.body) == "a")
    try connection.send(.GET, "/things/1a_B")
    #expect(connection.asked.last?.parameter == "1a_B")
    #expect(try connection.passedOn() == [])
  }

  @Test(arguments: [
    (HTTPMethod.GET, "/fast"), (.POST, "/fast/"), (.POST, "/fast?x=1"), (.POST, "/faster"), (.POST, "//fast"),
    (.POST, "http://sale/fast"), (.HEAD, "/things/1"), (.GET, "/things/"), (.GET, "/things/1/events"),
    (.GET, "/things/1?x"), (.GET, "/things/%31"), (.GET, "/things/é"),
  ])
  func passesOnWhatIsPutInAnyOtherWay(method: HTTPMethod, uri: String) throws {
    let connection = try Connection()
    try connection.send(method, uri)
    #expect(try connection.passedOn() == [uri])
    #expect(connection.asked.count == 0)
  }

  /// Closing the connection behind the answer is the business of those behind.
  @Test func passesOnWhatDoesNotKeepTheConnection() throws {
    let connection = try Connection()
    try connection.send(.POST, "/fast", headers: ["Connection": "close"])
    try connection.answerPassedOn()
    try connection.send(.POST, "/fast", version: .http1_0, headers: ["Connection": "keep-alive"])
    #expect(try connection.passedOn() == ["/fast", "/fast"])
  }

  @Test func answersErrorsAsProblems() throws {
    let connection = try Connection()
    try connection.send(.POST, "/wrong")
    let written = try connection.written()
    #expect(written.count == 1)
    #expect(written.first?.hasPrefix("409 ") == true)
    #expect(written.first?.contains("/problems/hold-expired") == true)
  }

  @Test func holdsBackWhatComesBeforeItsAnswer() throws {
    let connection = try Connection()
    try connection.send(.POST, "/fast")
    try connection.send(.GET, "/other")
    try connection.send(.POST, "/fast")
    try connection.send(.GET, "/more")
    #expect(connection.asked.count == 1)
    #expect(try connection.passedOn() == [])
    connection.asked.answer("a")
    #expect(try connection.written() == ["200 a"])
    // From here on those behind have everything, so that they can keep the order.
    #expect(try connection.passedOn() == ["/other", "/fast", "/more"])
    #expect(connection.asked.count == 0)
    for _ in 0..<3 { try connection.answerPassedOn() }
    #expect(try connection.written() == ["202", "202", "202"])
    try connection.send(.POST, "/fast")
    #expect(connection.asked.count == 1)
  }

  @Test func answersOneAfterTheOther() throws {
    let connection = try Connection()
    for _ in 0..<3 { try connection.send(.POST, "/fast") }
    for text in ["a", "b", "c"] {
      #expect(connection.asked.count == 1)
      connection.asked.answer(text)
      #expect(try connection.written() == ["200 \(text)"])
    }
    #expect(try connection.passedOn() == [])
  }

  /// A half-closed connection would otherwise be closed before the answer.
  @Test func holdsBackTheEndUntilItHasAnswered() throws {
    final class Events: ChannelInboundHandler, Sendable {
      typealias InboundIn = HTTPServerRequestPart
      let count = Mutex(0)
      func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { count.withLock { $0 += 1 } }
      }
    }
    let connection = try Connection()
    let events = Events()
    try connection.channel.pipeline.syncOperations.addHandler(events)
    try connection.send(.POST, "/fast")
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(events.count.withLock { $0 } == 0)
    connection.asked.answer("a")
    #expect(try connection.written() == ["200 a"])
    #expect(events.count.withLock { $0 } == 1)
  }

  /// A client that sends without taking answers must not fill the memory.
  @Test func stopsReadingWhileItHoldsRequestsBack() throws {
    let connection = try Connection()
    let reads = ReadCounter()
    try connection.channel.pipeline.syncOperations.addHandler(reads, position: .first)
    try connection.send(.POST, "/fast")
    connection.channel.read()
    #expect(reads.count == 1)
    try connection.send(.POST, "/fast")
    connection.channel.read()
    #expect(reads.count == 1)
    connection.asked.answer("a")
    _ = try connection.written()
    #expect(reads.count == 2)
  }

  @Test func stopsReadingWhileAnswersAreNotTaken() throws {
    let connection = try Connection()
    let reads = ReadCounter()
    try connection.channel.pipeline.syncOperations.addHandler(reads, position: .first)
    connection.channel.isWritable = false
    connection.channel.read()
    #expect(reads.count == 0)
    connection.channel.isWritable = true
    connection.channel.pipeline.fireChannelWritabilityChanged()
    #expect(reads.count == 1)
  }

  @Test func nothingHeldBackIsCarriedOutOnceTheConnectionIsGone() throws {
    let connection = try Connection()
    try connection.send(.POST, "/fast")
    try connection.send(.POST, "/fast")
    _ = try connection.channel.finish(acceptAlreadyClosed: true)
    connection.asked.answer("a")
    connection.channel.embeddedEventLoop.run()
    #expect(connection.asked.count == 0)
  }

  /// White space around a value is no part of it, and several fields of a name are one (RFC 9110, sections 5.2 and 5.5).
  @Test func headersAreReadAsTheyAreMeant() throws {
    let connection = try Connection()
    try connection.send(
      .POST, "/fast", headers: ["x-request-id": "\ta \t", "Idempotency-Key": "b ", "idempotency-key": "c"])
    let request = try #require(connection.asked.last)
    #expect(request[.xRequestID] == "a")
    #expect(throws: Problem.self) { try request.idempotencyKey }
    #expect(request.headers.value(ofLowercased: "idempotency-key") == "b, c")
    #expect(request[.location] == nil)
  }

  @Test func dateIsInTheFormOfHTTP() {
    #expect(DateHeader.format(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
  }
}
