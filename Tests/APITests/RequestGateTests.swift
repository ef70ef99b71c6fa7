import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

/// The gate by itself, in a time of its own. What it does on real connections is in FlashSaleTests.
@Suite struct RequestGateTests {
  private static let limits = RequestGate.Limits(
    maximumBodyBytes: 10, requestTimeout: .seconds(10), idleTimeout: .seconds(60))

  /// Embedded channels have no half to close.
  private final class HalfClosing: ChannelOutboundHandler {
    typealias OutboundIn = Never
    private(set) var isOutputClosed = false
    /// Whether the client takes what it is sent, without which the output stays open.
    var isTaken = true

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
      guard mode == .output else { return context.close(mode: mode, promise: promise) }
      isOutputClosed = true
      promise?.succeed()
      if isTaken { context.fireUserInboundEventTriggered(ChannelEvent.outputClosed) }
    }
  }

  private struct Connection {
    let channel: EmbeddedChannel
    let draining = Draining()
    let output = HalfClosing()

    var isOutputClosed: Bool { output.isOutputClosed }

    init() throws {
      channel = EmbeddedChannel(handlers: [
        output, RequestGate(limits: RequestGateTests.limits, draining: draining, decoder: RequestDecoder()),
      ])
      try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
    }

    /// Parts that come with one read.
    func read(_ parts: HTTPServerRequestPart...) throws {
      for part in parts { channel.pipeline.fireChannelRead(part) }
      channel.pipeline.fireChannelReadComplete()
      try channel.throwIfErrorCaught()
    }

    /// The beginning of a response of the router's.
    func beginAnswer() throws {
      try channel.writeOutbound(
        Outgoing.part(.head(.init(version: .http1_1, status: .ok, headers: ["Content-Length": "0"]))))
    }

    func endAnswer() throws {
      try channel.writeOutbound(Outgoing.part(.end(nil)))
    }

    func answer() throws {
      try beginAnswer()
      try endAnswer()
    }

    /// One of the fast path's.
    func answerAtOnce() throws {
      let answer = Answer(status: .ok, contentType: "text/plain", body: ByteBuffer())
      try channel.writeOutbound(Outgoing.answer(answer, requestID: "1"))
    }

    /// The bodies of the requests that have passed since the last call.
    func passed() throws -> [String?] {
      var bodies: [String?] = []
      while let request = try channel.readInbound(as: WholeRequest.self) {
        bodies.append(request.body.map { String(buffer: $0) })
      }
      return bodies
    }

    /// The statuses of what was written since the last call.
    func written() throws -> [Int] {
      var statuses: [Int] = []
      while let outgoing = try channel.readOutbound(as: Outgoing.self) {
        switch outgoing {
        case .answer(let answer, _): statuses.append(answer.status.code)
        case .part(.head(let head)): statuses.append(Int(head.status.code))
        case .part: break
        }
      }
      return statuses
    }

    /// What the answers written since the last call say of the connection.
    func announcements() throws -> [String?] {
      var fields: [String?] = []
      while let outgoing = try channel.readOutbound(as: Outgoing.self) {
        switch outgoing {
        case .answer(let answer, _): fields.append(answer.headers.first { $0.name == .connection }?.value)
        case .part(.head(let head)): fields.append(head.headers["Connection"].first)
        case .part: break
        }
      }
      return fields
    }

    func advance(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }
  }

  // MARK: A server that ends

  @Test func anAnswerIsTheLastOneOnceTheServerIsToEnd() throws {
    let connection = try Connection()
    try connection.read(Self.head(), .end(nil))
    connection.draining.begin()
    try connection.beginAnswer()
    // Sent before the client could know.
    try connection.read(Self.head(), .end(nil))
    #expect(!connection.isOutputClosed)
    try connection.endAnswer()
    #expect(connection.isOutputClosed)
    #expect(try connection.announcements() == ["close"])
    #expect(try connection.passed().count == 1)
    // Not before the client has had the time to take it.
    #expect(connection.channel.isActive)
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func ofRequestsThatWereSentAheadTheLastAnswerIsTheLastOne() throws {
    let connection = try Connection()
    try connection.read(Self.head(), .end(nil), Self.head(), .end(nil), Self.head())
    connection.draining.begin()
    try connection.answer()
    try connection.answer()
    // One has begun to arrive.
    #expect(try connection.announcements() == [nil, nil])
    try connection.read(.end(nil))
    try connection.answer()
    #expect(try connection.announcements() == ["close"])
    #expect(connection.isOutputClosed)
    #expect(try connection.passed().count == 3)
  }

  @Test func anAnswerThatIsMadeAtOnceIsTheLastOneToo() throws {
    let connection = try Connection()
    try connection.read(Self.head(), .end(nil), Self.head(), .end(nil))
    try connection.answerAtOnce()
    connection.draining.begin()
    #expect(!connection.isOutputClosed)
    try connection.answerAtOnce()
    #expect(try connection.announcements() == [nil, "close"])
    #expect(connection.isOutputClosed)
    // Sent before the client could know.
    try connection.read(Self.head(), .end(nil))
    #expect(try connection.passed().count == 2)
  }

  @Test func aClientWhoClosesItsSideGetsTheWholeOfTheLastAnswer() throws {
    let connection = try Connection()
    connection.draining.begin()
    try connection.read(Self.head(), .end(nil))
    try connection.beginAnswer()
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(connection.channel.isActive)
    try connection.endAnswer()
    #expect(connection.isOutputClosed)
  }

  /// It would be reset if something came at the same moment.
  @Test func anIdleConnectionIsEndedAndNotReset() throws {
    let connection = try Connection()
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    #expect(!connection.isOutputClosed)
    connection.advance(.milliseconds(200))
    #expect(connection.isOutputClosed && connection.channel.isActive)
    try connection.read(Self.head(), .end(nil))
    #expect(try connection.passed() == [])
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  @Test func aRequestThatWasOnItsWayWhenTheServerEndsIsAnswered() throws {
    let connection = try Connection()
    connection.draining.begin()
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    connection.advance(.milliseconds(100))
    try connection.read(Self.head(), .end(nil))
    connection.advance(.seconds(1))
    #expect(!connection.isOutputClosed)
    try connection.answer()
    #expect(try connection.announcements() == ["close"])
    #expect(connection.isOutputClosed)
  }

  @Test(arguments: [false, true])
  func aConnectionEndsWhenWhatIsUnderWayIsAnswered(isArriving: Bool) throws {
    let connection = try Connection()
    try connection.read(Self.head())
    if !isArriving {
      try connection.read(.end(nil))
      try connection.beginAnswer()
    }
    connection.draining.begin()
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    #expect(!connection.isOutputClosed)
    if isArriving {
      try connection.read(.end(nil))
      try connection.beginAnswer()
    }
    #expect(!connection.isOutputClosed)
    try connection.endAnswer()
    #expect(connection.isOutputClosed)
  }

  /// Its limit is the idle timeout before, and short when the server ends.
  @Test(arguments: [false, true])
  func aClientHasItsTimeToTakeTheLastAnswer(isEnding: Bool) throws {
    let connection = try Connection()
    connection.output.isTaken = false
    if isEnding { connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
    connection.channel.pipeline.fireErrorCaught(HTTPParserError.headerOverflow)
    #expect(connection.isOutputClosed)
    connection.advance(.milliseconds(2500))
    #expect(connection.channel.isActive)
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
    connection.advance(.milliseconds(isEnding ? 400 : 900))
    #expect(connection.channel.isActive)
    connection.advance(.milliseconds(100))
    #expect(!connection.channel.isActive)
  }

  @Test func theServersEndDoesNotWaitForTheRestOfARequest() throws {
    let connection = try Connection()
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    connection.advance(.milliseconds(100))
    try connection.read(Self.head())
    connection.advance(.milliseconds(2900))
    #expect(try connection.written() == [408])
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  @Test(arguments: [TimeAmount.zero, .seconds(4)])
  func theServersEndDoesNotWaitForAClientWhoTakesNothing(since moment: TimeAmount) throws {
    let connection = try Connection()
    try connection.read(Self.head(), .end(nil))
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    connection.advance(moment)
    connection.channel.isWritable = false
    connection.channel.pipeline.fireChannelWritabilityChanged()
    connection.advance(.milliseconds(2999))
    #expect(connection.channel.isActive)
    connection.advance(.milliseconds(1))
    #expect(!connection.channel.isActive)
  }

  private static func head(_ method: HTTPMethod = .POST, _ fields: HTTPHeaders = [:]) -> HTTPServerRequestPart {
    .head(
      HTTPRequestHead(version: .http1_1, method: method, uri: "/", headers: HTTPHeaders([("Host", "sale")] + fields)))
  }

  private static func body(_ text: String) -> HTTPServerRequestPart { .body(ByteBuffer(string: text)) }

  @Test func requestPassesWhenItIsWhole() throws {
    let connection = try Connection()
    try connection.read(Self.head())
    try connection.read(Self.body("12345"))
    try connection.read(Self.body("67890"))
    #expect(try connection.passed() == [])
    try connection.read(.end(nil), Self.head(.GET), .end(nil))
    #expect(try connection.passed() == ["1234567890", nil])
  }

  @Test func nothingPassesAfterARefusal() throws {
    let connection = try Connection()
    try connection.read(Self.head(), Self.body("1234567890"), Self.body("1"))
    #expect(try connection.written() == [413])
    try connection.read(.end(nil), Self.head(), .end(nil))
    #expect(try connection.passed() == [])
    #expect(try connection.written() == [])
    #expect(connection.channel.isActive)
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  /// RFC 9110, section 9.3.2.
  @Test func refusedHEADHasNoBody() throws {
    let connection = try Connection()
    try connection.read(Self.head(.HEAD, ["Host": "another"]))
    guard case .answer(let answer, _)? = try connection.channel.readOutbound(as: Outgoing.self) else {
      Issue.record("no refusal")
      return
    }
    #expect(answer.status == .badRequest)
    #expect(answer.body.readableBytes == 0)
    #expect(answer.headers.contains { $0.name == .contentLength && $0.value != "0" })
  }

  @Test func connectionEndsWithTheClientsSideAfterARefusal() throws {
    let connection = try Connection()
    connection.channel.pipeline.fireErrorCaught(HTTPParserError.headerOverflow)
    #expect(try connection.written() == [431])
    #expect(connection.channel.isActive)
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(!connection.channel.isActive)
  }

  @Test func whatIsDroppedAfterARefusalIsBounded() throws {
    let connection = try Connection()
    try connection.read(Self.head(.POST, ["Content-Length": "1000000000"]))
    #expect(try connection.written() == [413])
    for _ in 0..<16 { try connection.read(Self.body(String(repeating: "x", count: 1 << 16))) }
    #expect(connection.channel.isActive)
    try connection.read(Self.body("x"))
    #expect(!connection.channel.isActive)
  }

  /// RFC 9112, section 9.6: the answer to a request that asks for the end of its connection is the last one.
  @Test func whatComesBehindTheLastRequestIsNotAnswered() throws {
    let connection = try Connection()
    try connection.read(Self.head(.GET, ["Connection": "close"]), .end(nil))
    connection.channel.pipeline.fireErrorCaught(HTTPParserError.closedConnection)
    try connection.answer()
    #expect(try connection.written() == [200])
  }

  @Test func refusalWaitsForTheAnswersBeforeIt() throws {
    let connection = try Connection()
    try connection.read(Self.head(), .end(nil), Self.head(), .end(nil))
    connection.channel.pipeline.fireErrorCaught(HTTPParserError.invalidMethod)
    #expect(try connection.written() == [])
    try connection.answer()
    #expect(try connection.written() == [200])
    try connection.answer()
    #expect(try connection.written() == [200, 400])
  }

  @Test func arrivalHasATotalDeadline() throws {
    let connection = try Connection()
    // A head that has not come to its end shows only as a read that brings nothing.
    try connection.read()
    connection.advance(.seconds(6))
    try connection.read(Self.head())
    connection.advance(.seconds(3))
    try connection.read(Self.body("1"))
    #expect(try connection.written() == [])
    connection.advance(.seconds(1))
    #expect(try connection.written() == [408])
  }

  @Test func deadlineEndsWithTheArrivalAndBeginsAnewWithTheNextOne() throws {
    let connection = try Connection()
    for _ in 0..<3 {
      try connection.read(Self.head())
      connection.advance(.seconds(9))
      try connection.read(.end(nil))
      connection.advance(.hours(1))
      try connection.answer()
    }
    #expect(try connection.written() == [200, 200, 200])
    #expect(connection.channel.isActive)
  }

  @Test func idleConnectionIsClosedAfterTheTimeSinceTheLastAnswer() throws {
    let connection = try Connection()
    connection.advance(.seconds(59))
    try connection.read(Self.head(), .end(nil))
    connection.advance(.hours(1))
    try connection.answer()
    connection.advance(.seconds(59))
    #expect(connection.channel.isActive)
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
    #expect(try connection.written() == [200])
  }

  @Test func oftenUsedConnectionStaysOpen() throws {
    let connection = try Connection()
    for _ in 0..<10 {
      connection.advance(.seconds(50))
      try connection.read(Self.head(), .end(nil))
      try connection.answer()
    }
    #expect(connection.channel.isActive)
  }

  @Test func longAnswerIsNotCutWhenTheClientHasClosedItsSide() throws {
    let connection = try Connection()
    try connection.read(Self.head(.GET), .end(nil))
    // The end of a connection also shows as a read.
    try connection.read()
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    connection.advance(.hours(1))
    try connection.answer()
    #expect(try connection.written() == [200])
  }

  @Test func longAnswerIsNotCutByWhatTheClientSaysMeanwhile() throws {
    let connection = try Connection()
    try connection.read(Self.head(.GET), .end(nil))
    try connection.read()
    connection.advance(.hours(1))
    #expect(connection.channel.isActive)
    #expect(try connection.written() == [])
    try connection.answer()
    #expect(try connection.written() == [200, 408])
  }

  @Test func clientThatTakesNothingIsGivenUp() throws {
    let connection = try Connection()
    try connection.read(Self.head(.GET), .end(nil))
    for isWritable in [false, true, false] {
      connection.channel.isWritable = isWritable
      connection.channel.pipeline.fireChannelWritabilityChanged()
      connection.advance(.seconds(59))
    }
    #expect(connection.channel.isActive)
    connection.advance(.seconds(1))
    #expect(!connection.channel.isActive)
  }

  @Test func onlyOneExpectationIsMet() throws {
    var connection = try Connection()
    try connection.read(Self.head(.POST, ["Expect": "100-Continue"]))
    #expect(try connection.written() == [100])
    connection = try Connection()
    try connection.read(Self.head(.POST, ["Expect": "x"]))
    #expect(try connection.written() == [417])
  }

  /// Only the decoder knows whether it stops, so that what is read might pile up.
  @Test func nothingIsReadBehindARequestWhoseUpgradeIsUnclear() throws {
    let connection = try Connection()
    let reads = ReadCounter()
    try connection.channel.pipeline.syncOperations.addHandler(reads, position: .first)
    try connection.read(Self.head(.GET, ["Upgrade": "x", "Connection": "x; upgrade"]))
    connection.channel.read()
    #expect(reads.count == 1)
    try connection.read(.end(nil))
    connection.channel.read()
    #expect(reads.count == 1)
  }

  /// Those behind know one way of saying that a connection ends.
  @Test(arguments: [(HTTPVersion.http1_0, "x"), (.http1_1, "Close"), (.http1_1, "close, TE")])
  func connectionThatIsNotKeptIsToBeClosed(version: HTTPVersion, connection value: String) throws {
    let headers: HTTPHeaders = ["Host": "sale", "Connection": value]
    let connection = try Connection()
    try connection.read(
      .head(HTTPRequestHead(version: version, method: .GET, uri: "/", headers: headers)), .end(nil))
    let request = try #require(try connection.channel.readInbound(as: WholeRequest.self))
    #expect(request.head.headers["Connection"] == ["close"])
  }

  @Test func theAnswerToTheLastRequestSaysSo() throws {
    let connection = try Connection()
    try connection.read(Self.head(), .end(nil), Self.head(.GET, ["Connection": "close"]))
    try connection.answer()
    #expect(try connection.announcements() == [nil])
    try connection.read(.end(nil))
    try connection.answer()
    #expect(try connection.announcements() == ["close"])
  }

  /// Of HTTP/1.0 a connection stays only when both sides say so.
  @Test(arguments: [(["Connection": "keep-alive"], "keep-alive"), ([:], "close")] as [(HTTPHeaders, String)])
  func aClientOfHTTP10IsToldWhetherItsConnectionStays(headers: HTTPHeaders, option: String) throws {
    let connection = try Connection()
    try connection.read(
      .head(HTTPRequestHead(version: .http1_0, method: .GET, uri: "/", headers: headers)), .end(nil))
    try connection.answer()
    #expect(try connection.announcements() == [option])
  }
}
