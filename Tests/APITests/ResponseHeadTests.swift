import Foundation
import NIOCore
import Testing

@testable import API

@Suite struct ResponseHeadTests {
  private func text(_ response: Response, _ framing: ConnectionState.Framing = .init(), body: String? = nil) -> String {
    let head = ResponseHead(response: response, requestID: "mine", framing: framing)
    return String(buffer: head.encoded(with: body.map { ByteBuffer(string: $0) }))
  }

  @Test func `head and body are encoded into one buffer`() {
    let response = Response(
      status: .conflict, contentType: "text/plain", headers: [("Location", "/é")], body: ByteBuffer(string: "sold"))
    var lines = text(response, body: "sold").components(separatedBy: "\r\n")
    let date = lines.remove(at: 5)
    #expect(date.hasPrefix("Date: ") && date.hasSuffix(" GMT"))
    #expect(
      lines == [
        "HTTP/1.1 409 Conflict", "Content-Type: text/plain", "Content-Length: 4", "Location: /é",
        "Cache-Control: no-store", "X-Request-Id: mine", "", "sold",
      ])
  }

  @Test func `a 304 has no length, and a response that may be stored is revalidated`() {
    var response = Response(notModified: [("ETag", "\"a\"")])
    response.mayBeStored = true
    let text = text(response, body: "")
    #expect(text.hasPrefix("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: no-cache\r\nDate: "))
    #expect(!text.contains("Content-Length") && !text.contains("Transfer-Encoding") && text.hasSuffix("\r\n\r\n"))
  }

  @Test func `the framing sets the version, Connection and Transfer-Encoding`() {
    let response = Response(contentType: "text/plain", body: ByteBuffer())
    #expect(text(response, .init(isChunked: true)).contains("\r\nTransfer-Encoding: chunked\r\n"))
    #expect(text(response, .init(isHTTP10: true, connection: "close")).hasPrefix("HTTP/1.0 200 OK\r\n"))
    #expect(text(response, .init(connection: "close")).contains("\r\nConnection: close\r\n"))
    #expect(!text(response).contains("Connection"))
  }

  @Test func `a chunk begins with its size in hexadecimal digits`() {
    #expect(String(buffer: Chunk.encoded(ByteBuffer(string: String(repeating: "a", count: 26)))).hasPrefix("1a\r\naaa"))
    #expect(String(buffer: Chunk.encoded(ByteBuffer(string: "a"))) == "1\r\na\r\n")
    #expect(String(buffer: Chunk.last) == "0\r\n\r\n")
  }

  @Test func `the Date field has the HTTP date format`() {
    #expect(DateHeader.format(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
  }
}
