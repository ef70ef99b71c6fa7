import Foundation
import NIOCore
import NIOHTTP1

/// A request that has arrived completely.
struct Request: Sendable {
  let head: HTTPRequestHead
  /// The path segment in the place of the route's parameter; empty when the route has none.
  let parameter: Substring
  let body: ByteBuffer
  let bodyLabel: BodyLabel
  /// The connection. Its remote address is the client or the nearest proxy.
  let channel: any Channel

  var method: HTTPMethod { head.method }
  var headers: HTTPHeaders { head.headers }

  /// The parameter with percent-encoded unreserved characters decoded; both spellings are the same (RFC 3986, section
  /// 6.2.2.2). Valid ids have no other characters.
  var id: Substring {
    let percent = UInt8(ascii: "%")
    guard parameter.utf8.contains(percent) else { return parameter }
    var bytes: [UInt8] = []
    var rest = parameter.utf8
    while let byte = rest.popFirst() {
      let digits = rest.prefix(2).compactMap(\.hexadecimalValue)
      if byte == percent, digits.count == 2, (digits[0] << 4 | digits[1]).isUnreserved {
        bytes.append(digits[0] << 4 | digits[1])
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return Substring(decoding: bytes, as: UTF8.self)
  }

  /// The value of a query parameter, percent-decoded. Of several the first; nil when there is none.
  func query(_ name: String) -> String? {
    guard let query = head.uri.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
    let items = URLComponents(string: String(head.uri[query...]))?.queryItems
    return items?.first { $0.name.isVerbatim(name) }?.value
  }

  /// The value of `Idempotency-Key`: 1 to 255 visible ASCII characters. Nil when there is no such header.
  ///
  /// - Throws: `Problem.validation`.
  var idempotencyKey: String? {
    get throws {
      guard let key = headers.value(ofLowercased: "idempotency-key") else { return nil }
      guard 1...255 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
        throw Problem.validation("/Idempotency-Key", "the header must have 1 to 255 visible ASCII characters")
      }
      return key
    }
  }

  /// Reads the JSON object in the body.
  ///
  /// - Throws: `Problem.malformedRequest`, `Problem.validation`, `Problem.unsupportedMediaType`.
  func decode<Body: RequestBody>(_ type: Body.Type = Body.self) throws -> Body {
    try bodyLabel.check()
    return try Body(from: body)
  }
}
