import Foundation
import NIOCore
import NIOHTTP1

/// A request whose head and body have arrived completely.
struct Request: Sendable {
  /// The value of the response's `X-Request-Id`. `RequestID` has validated it.
  let requestID: String
  let head: HTTPRequestHead
  /// The path segment in the place of the route's parameter. Empty if the route has no parameter.
  let parameter: Substring
  let body: ByteBuffer
  let bodyLabel: BodyLabel
  /// The connection. Its remote address is that of the client, or of the nearest proxy.
  let channel: any Channel
  /// Set before the handler of the route runs.
  var customer = Customer.trusted

  var method: HTTPMethod { head.method }
  var headers: HTTPHeaders { head.headers }

  /// The parameter with percent-encoded unreserved characters decoded. Both spellings are equivalent (RFC 3986, section
  /// 6.2.2.2). Valid ids consist of unreserved characters.
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

  /// The decoded parameters of the query.
  ///
  /// A plus means a space, as forms, `URLSearchParams` and most libraries write it. A plus itself is `%2B`.
  var queryItems: [URLQueryItem] {
    guard let query = head.uri.utf8.firstIndex(of: UInt8(ascii: "?")) else { return [] }
    let parts = head.uri.utf8[query...].split(separator: UInt8(ascii: "+"), omittingEmptySubsequences: false)
    return URLComponents(string: parts.map { String(Substring($0)) }.joined(separator: "%20"))?.queryItems ?? []
  }

  /// The value of `Idempotency-Key`: 1 to 255 visible ASCII characters. Nil if there is no such header.
  ///
  /// - Throws: `Problem.validation` for any other value.
  var idempotencyKey: String? {
    get throws {
      guard let key = headers.value(ofLowercased: "idempotency-key") else { return nil }
      guard 1...255 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
        throw Problem.validation("/Idempotency-Key", "the header must have 1 to 255 visible ASCII characters")
      }
      return key
    }
  }

  /// The value of `Idempotency-Key`, as `idempotencyKey`.
  ///
  /// - Throws: `Problem.validation` also if there is no such header.
  var requiredIdempotencyKey: String {
    get throws {
      guard let key = try idempotencyKey else { throw Problem.validation("/Idempotency-Key", "the header is required") }
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
