import Foundation
import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

@Suite struct AnswerEncoderTests {
  /// What the encoder makes of it.
  private func bytes(of outgoing: Outgoing...) throws -> [String] {
    let channel = EmbeddedChannel(handler: AnswerEncoder())
    for message in outgoing { try channel.writeOutbound(message) }
    var texts: [String] = []
    while let bytes = try channel.readOutbound(as: ByteBuffer.self) { texts.append(String(buffer: bytes)) }
    return texts
  }

  @Test func anAnswerIsOneBuffer() throws {
    let answer = Answer(
      status: .conflict, contentType: "text/plain", headers: [(.location, "/é")], body: ByteBuffer(string: "sold"))
    let texts = try bytes(of: .answer(answer, requestID: "mine"), .answer(answer, requestID: "yours"))
    #expect(texts.count == 2)
    var lines = texts[0].components(separatedBy: "\r\n")
    let date = lines.remove(at: 5)
    #expect(date.hasPrefix("Date: ") && date.hasSuffix(" GMT"))
    #expect(
      lines == [
        "HTTP/1.1 409 Conflict", "Content-Type: text/plain", "Content-Length: 4", "Location: /é",
        "Cache-Control: no-store",
        "X-Request-Id: mine", "", "sold",
      ])
  }

  /// Answers before and in between do not change how the parts of others are framed.
  @Test func aResponseInPartsIsFramedAsNIODoesIt() throws {
    let answer = Answer(status: .ok, contentType: "text/plain", body: ByteBuffer())
    let texts = try bytes(
      of: .answer(answer, requestID: "1"), .part(.head(HTTPResponseHead(version: .http1_1, status: .ok))),
      .part(.body(.byteBuffer(ByteBuffer(string: "event")))), .part(.end(nil)), .answer(answer, requestID: "2"),
      .part(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Content-Length": "0"]))),
      .part(.end(nil)))
    let others = texts.filter { !$0.contains("X-Request-Id") }
    #expect(texts.count == others.count + 2)
    #expect(
      others.joined()
        == "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n0\r\n\r\n"
        + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n")
  }

  @Test func `an answer that says how it may be kept keeps its word, and 100 says nothing`() throws {
    let kept = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["cache-control": "max-age=60"])
    #expect(try bytes(of: .part(.head(kept))).allSatisfy { !$0.contains("no-store") })
    let goOn = HTTPResponseHead(version: .http1_1, status: .continue)
    #expect(try bytes(of: .part(.head(goOn))) == ["HTTP/1.1 100 Continue\r\n\r\n"])
  }
}
