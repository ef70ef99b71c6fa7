import NIOCore
import NIOHTTP1
import Testing

@testable import API

/// The state machine of a connection, without a channel.
@Suite struct ConnectionStateTests {
  private var state = ConnectionState(maximumBodyBytes: 10, isForLoopbackNames: false)
  private let largeBodies = Places(maximumCount: 3)

  private mutating func receive(
    version: HTTPVersion = .http1_1, _ headers: HTTPHeaders = [:], routeLimit: Int? = nil, receivedBytes: Int = 0
  ) -> ConnectionState.Action {
    let head = HTTPRequestHead(
      version: version, method: .POST, uri: "/", headers: HTTPHeaders([("Host", "sale")] + headers))
    let largeBody = routeLimit.flatMap { limit in
      largeBodies.take().map { LargeBody(maximumBytes: limit, place: $0) }
    }
    return state.receive(head, largeBody: largeBody, receivedBytes: receivedBytes, now: .now)
  }

  private mutating func receiveBody(_ text: String, receivedBytes: Int = 0) -> ConnectionState.Action {
    state.receive(ByteBuffer(string: text), receivedBytes: receivedBytes, now: .now)
  }

  private mutating func receiveRequest(version: HTTPVersion = .http1_1, _ headers: HTTPHeaders = [:]) {
    _ = receive(version: version, headers)
    #expect(state.receiveEnd() == .none)
  }

  @Test mutating func `a request waits until the response before it is complete`() {
    receiveRequest()
    receiveRequest()
    #expect(state.next()?.refusal == nil)
    #expect(state.next() == nil)
    #expect(!state.wantsInput)
    _ = state.beginResponse(hasLength: true, isDraining: false)
    #expect(state.completeResponse(receivedBytes: 0) == .none)
    #expect(state.next() != nil)
    #expect(state.wantsInput)
  }

  @Test mutating func `a body of exactly the maximum size is accepted`() {
    #expect(receive() == .none)
    #expect(receiveBody("12345") == .none)
    #expect(receiveBody("67890") == .none)
    #expect(state.receiveEnd() == .none)
    #expect(state.next().map { String(buffer: $0.body) } == "1234567890")
  }

  @Test mutating func `a larger body is refused, and later input is dropped`() {
    #expect(receive() == .none)
    #expect(receiveBody("1234567890") == .none)
    #expect(receiveBody("1") == .none)
    let refused = state.next()
    #expect(refused?.refusal?.kind == .payloadTooLarge)
    #expect(refused?.head != nil && refused?.body.readableBytes == 0)
    #expect(receive() == .none)
    #expect(state.receiveEnd() == .none)
    #expect(state.beginResponse(hasLength: true, isDraining: false).connection == "close")
    #expect(state.completeResponse(receivedBytes: 100) == .linger)
    #expect(state.next() == nil)
    #expect(state.drop((1 << 20) - 100, receivedBytes: 100) == .none)
    #expect(state.drop(1, receivedBytes: 100) == .close)
  }

  @Test mutating func `chunk framing counts towards the body limit`() {
    #expect(receive(["Transfer-Encoding": "chunked"], receivedBytes: 100) == .none)
    #expect(state.completeRead(receivedBytes: 100 + 10 + 4096, now: .now) == .none)
    #expect(state.next() == nil)
    #expect(state.completeRead(receivedBytes: 100 + 10 + 4097, now: .now) == .none)
    #expect(state.next()?.refusal?.kind == .payloadTooLarge)
  }

  @Test mutating func `a route may accept larger bodies, and the next request has the usual limit again`() {
    #expect(receive(["Content-Length": "15"], routeLimit: 15) == .none)
    #expect(receiveBody("1234567890") == .none)
    #expect(receiveBody("12345") == .none)
    #expect(state.receiveEnd() == .none)
    #expect(state.next()?.body.readableBytes == 15)
    _ = state.beginResponse(hasLength: true, isDraining: false)
    #expect(state.completeResponse(receivedBytes: 0) == .none)
    #expect(receive(["Content-Length": "11"]) == .none)
    #expect(state.next()?.refusal?.kind == .payloadTooLarge)
  }

  @Test mutating func `the limit of a route applies to the length, to chunks and to the content`() {
    var (byChunks, byContent) = (self, self)
    #expect(receive(["Content-Length": "16"], routeLimit: 15) == .none)
    #expect(state.next()?.refusal?.detail.contains("15") == true)
    _ = byChunks.receive(["Transfer-Encoding": "chunked"], routeLimit: 15, receivedBytes: 100)
    #expect(byChunks.state.completeRead(receivedBytes: 100 + 15 + 4096, now: .now) == .none)
    #expect(byChunks.state.next() == nil)
    #expect(byChunks.state.completeRead(receivedBytes: 100 + 15 + 4097, now: .now) == .none)
    #expect(byChunks.state.next()?.refusal?.kind == .payloadTooLarge)
    _ = byContent.receive(routeLimit: 15)
    #expect(byContent.receiveBody("1234567890123456") == .none)
    #expect(byContent.state.next()?.refusal?.kind == .payloadTooLarge)
  }

  @Test mutating func `a large body keeps its place until it is refused or its route has the request`() {
    _ = receive(routeLimit: 15)
    let others = [largeBodies.take(), largeBodies.take()]
    #expect(others.allSatisfy { $0 != nil } && largeBodies.take() == nil)
    // A client may hide complete requests behind one whose response takes long.
    #expect(state.receiveEnd() == .none)
    #expect(largeBodies.take() == nil)
    #expect(state.next() != nil)
    #expect(receive(routeLimit: 15) == .none)
    #expect(largeBodies.take() == nil)
    state.refuse(.requestTimeout, receivedBytes: 0, now: .now)
    #expect(largeBodies.take() != nil)
  }

  @Test mutating func `a smaller limit of a route does not count`() {
    #expect(receive(["Content-Length": "10"], routeLimit: 5) == .none)
    #expect(receiveBody("1234567890") == .none)
    #expect(state.receiveEnd() == .none)
    #expect(state.next()?.refusal == nil)
  }

  @Test mutating func `a read without a complete head begins a request`() {
    #expect(state.isIdle)
    #expect(state.completeRead(receivedBytes: 3, now: .now) == .none)
    #expect(state.isArriving && !state.isIdle)
    receiveRequest()
    #expect(state.next()?.head != nil)
    #expect(state.completeRead(receivedBytes: 3, now: .now) == .none)
    #expect(!state.isArriving)
  }

  @Test(
    arguments: [
      (HTTPVersion.http1_1, [:], true, nil, false, false),
      (.http1_1, ["Connection": "close"], true, "close", false, false),
      (.http1_1, [:], false, nil, true, false), (.http1_0, [:], true, "close", false, false),
      (.http1_0, ["Connection": "keep-alive"], true, "keep-alive", false, false),
      (.http1_0, ["Connection": "keep-alive"], false, "close", false, true),
    ] as [(HTTPVersion, HTTPHeaders, Bool, String?, Bool, Bool)])
  mutating func `the framing of a response depends on its request`(
    version: HTTPVersion, headers: HTTPHeaders, hasLength: Bool, connection: String?, isChunked: Bool, isHTTP10: Bool
  ) {
    receiveRequest(version: version, headers)
    #expect(state.next() != nil)
    let framing = state.beginResponse(hasLength: hasLength, isDraining: false)
    #expect(framing.connection == connection && framing.isChunked == isChunked && framing.isHTTP10 == isHTTP10)
    #expect(state.completeResponse(receivedBytes: 0) == (connection == "close" ? .linger : .none))
  }

  @Test mutating func `an upgrade is ignored, and the decoder resumes`() {
    #expect(receive(["Upgrade": "h2c", "Connection": "Upgrade"]) == .none)
    #expect(state.receiveEnd() == .resumeDecoder)
    #expect(state.next() != nil)
    #expect(state.beginResponse(hasLength: true, isDraining: false).connection == nil)
  }

  @Test mutating func `100 Continue is sent for the first request only`() {
    #expect(receive(["Expect": "100-Continue"]) == .sendContinue)
    #expect(state.receiveEnd() == .none)
    #expect(receive(["Expect": "100-continue"]) == .none)
    #expect(state.receiveEnd() == .none)
  }

  @Test mutating func `shutdown waits for the response in progress`() {
    receiveRequest()
    state.quiesce()
    #expect(state.endIfQuiescent(receivedBytes: 0) == .none)
    #expect(state.next() != nil)
    #expect(state.endIfQuiescent(receivedBytes: 0) == .none)
    _ = state.beginResponse(hasLength: true, isDraining: false)
    #expect(state.completeResponse(receivedBytes: 0) == .linger)
  }

  @Test mutating func `the connection ends when both sides are closed, in either order`() {
    var other = state
    #expect(state.closeInput() == .linger)
    #expect(state.closeOutput() == .close)
    #expect(other.closeOutput() == .none)
    #expect(other.closeInput() == .close)
  }
}
