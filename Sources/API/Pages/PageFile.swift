import Crypto
import Foundation
import NIOCore
import NIOHTTP1

/// A file of the pages. It has one representation without content coding, and may have one in gzip form.
struct PageFile: Sendable {
  private struct Representation: Sendable {
    let body: ByteBuffer
    /// A hash of the body. So the two representations have different tags, and each tag is a strong one.
    let entityTag: String
    /// The header fields of 200 and of 304 (RFC 9110, section 15.4.5).
    let validators: Response.Headers
    /// The other header fields of 200.
    let headers: Response.Headers

    init(_ bytes: [UInt8], coding: String? = nil) {
      body = ByteBuffer(bytes: bytes)
      let digits = SHA256.hash(data: bytes).prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      entityTag = "\"\(digits.joined())\""
      validators = [("ETag", entityTag), ("Vary", "Accept-Encoding")]
      let encoding: Response.Headers = coding.map { [(name: "Content-Encoding", value: $0)] } ?? []
      headers = encoding + PageFile.protection
    }
  }

  /// The pages run no inline script, load nothing from other hosts, and cannot be framed. Other sites see no address of
  /// a page in `Referer`.
  private static let protection: Response.Headers = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    (
      "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        + "form-action 'self'; frame-ancestors 'none'"
    ),
    ("Cross-Origin-Opener-Policy", "same-origin"),
  ]

  let name: String
  private let contentType: String
  private let plain: Representation
  private let gzip: Representation?

  /// - Parameters:
  ///   - name: the extension gives the media type.
  ///   - gzip: the text in gzip form. Nil if there is none.
  init(name: String, text: String, gzip: Data?) {
    self.name = name
    contentType = Self.contentType(of: name)
    plain = Representation(Array(text.utf8))
    self.gzip = gzip.map { Representation(Array($0), coding: "gzip") }
  }

  private static func contentType(of name: String) -> String {
    switch name.split(separator: ".").last {
    case "html": "text/html; charset=utf-8"
    case "css": "text/css; charset=utf-8"
    case "js": "text/javascript; charset=utf-8"
    case "svg": "image/svg+xml; charset=utf-8"
    default: "text/plain; charset=utf-8"
    }
  }

  /// The representation that the client accepts, or 304 if the client has it already.
  func response(to headers: HTTPHeaders) -> Response {
    let prefersGzip = AcceptEncoding.prefersGzip(headers.value(ofLowercased: "accept-encoding"))
    let representation = (prefersGzip ? gzip : nil) ?? plain
    let known = headers.value(ofLowercased: "if-none-match")
    var response =
      if let known, Self.matches(representation.entityTag, known) {
        Response(notModified: representation.validators)
      } else {
        Response(
          contentType: contentType, headers: representation.validators + representation.headers,
          body: representation.body)
      }
    // A new version of the server may have other files, so caches ask again each time.
    response.mayBeStored = true
    return response
  }

  /// Whether a value of `If-None-Match` contains the tag. The comparison is weak (RFC 9110, section 13.1.2).
  private static func matches(_ entityTag: String, _ value: String) -> Bool {
    if value == "*" { return true }
    return value.utf8.split(separator: UInt8(ascii: ",")).contains { entry in
      let tag = entry.trimmed
      return (tag.starts(with: "W/".utf8) ? tag.dropFirst(2) : tag).elementsEqual(entityTag.utf8)
    }
  }
}
