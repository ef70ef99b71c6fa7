import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import API

/// How the files of the pages are served.
@Suite struct PageTests {
  private static let gzip = "Accept-Encoding: gzip\r\n"
  private static let paths = [
    "/", "/p/1", "/dashboard", "/docs", "/assets/style.css", "/assets/icon.svg", "/assets/settings.js",
  ]
  private static let allBytesMax = 215_000
  /// For the gzip forms of all files, with the page of the API.
  private static let allGzipBytesMax = 110_000

  private struct Answer {
    let status: String
    let headers: [String: String]
    /// The bytes of the body. Those that are not UTF-8 are replaced.
    let body: String

    init(_ text: String) throws {
      let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
      try #require(parts.count == 2, "\(text)")
      let lines = parts[0].split(separator: "\r\n")
      status = String(lines[0].dropFirst("HTTP/1.1 ".count))
      headers = Dictionary(
        lines.dropFirst().map { line in
          let field = line.split(separator: ": ", maxSplits: 1)
          return (String(field[0]), String(field[1]))
        }
      ) { $0 + " and " + $1 }
      body = String(parts[1])
    }
  }

  private func send(_ method: String, _ path: String, headers: String = "") throws -> Answer {
    let settings = PageSettings(checkoutURL: nil, playsProvider: false)
    let connection = try TestConnection(routes: PageRoutes(settings: settings).routes)
    try connection.request(method, path, headers: headers)
    return try Answer(try connection.written())
  }

  @Test(arguments: [
    ("/", "text/html; charset=utf-8"), ("/p/1", "text/html; charset=utf-8"), ("/p/1?x", "text/html; charset=utf-8"),
    ("/dashboard", "text/html; charset=utf-8"), ("/docs", "text/html; charset=utf-8"),
    ("/assets/style.css", "text/css; charset=utf-8"),
    ("/assets/api.js", "text/javascript; charset=utf-8"), ("/assets/icon.svg", "image/svg+xml; charset=utf-8"),
    ("/assets/settings.js", "text/javascript; charset=utf-8"),
  ])
  func `a file has the media type of its extension`(path: String, type: String) throws {
    let answer = try send("GET", path)
    #expect(answer.status == "200 OK" && answer.headers["Content-Type"] == type)
    #expect(answer.headers["Content-Length"] == "\(answer.body.utf8.count)" && !answer.body.isEmpty)
  }

  @Test(arguments: paths) func `a file may be stored and has the headers that protect it`(path: String) throws {
    for headers in ["", Self.gzip] {
      let fields = try send("GET", path, headers: headers).headers
      #expect(fields["Cache-Control"] == "no-cache" && fields["Vary"] == "Accept-Encoding")
      #expect(fields["X-Content-Type-Options"] == "nosniff" && fields["Referrer-Policy"] == "no-referrer")
      #expect(fields["Cross-Origin-Opener-Policy"] == "same-origin" && fields["Set-Cookie"] == nil)
      #expect(
        fields["Content-Security-Policy"]
          == "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
          + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
    }
  }

  @Test func `each embedded file has a smaller gzip form with a tag of its own`() throws {
    let paths = ["/", "/p/1", "/dashboard", "/docs"] + EmbeddedPages.assets.map { "/assets/" + $0.name }
    #expect(paths.count > 10)
    for path in paths {
      let plain = try send("GET", path).headers
      let gzip = try send("GET", path, headers: Self.gzip).headers
      #expect(plain["Content-Encoding"] == nil && gzip["Content-Encoding"] == "gzip", "\(path)")
      let plainLength = try #require(Int(plain["Content-Length"] ?? ""))
      let gzipLength = try #require(Int(gzip["Content-Length"] ?? ""))
      #expect(gzipLength < plainLength, "\(path)")
      let tags = [plain["ETag"] ?? "", gzip["ETag"] ?? ""]
      #expect(tags[0] != tags[1], "\(path)")
      for tag in tags { #expect(tag.wholeMatch(of: /"[0-9a-f]{16}"/) != nil, "\(tag)") }
    }
  }

  @Test func `all pages together are small`() {
    let files = EmbeddedPages.pages + EmbeddedPages.assets + EmbeddedPages.reference
    let bytes = files.compactMap { Data(base64Encoded: $0.gzip)?.count }.reduce(0, +)
    #expect(1..<Self.allGzipBytesMax ~= bytes, "\(bytes)")
    // The build makes the page of the API from the OpenAPI document, so only its gzip form is bounded.
    let plain = (EmbeddedPages.pages + EmbeddedPages.assets).filter { !$0.name.hasPrefix("docs") }
    #expect(plain.map(\.text.utf8.count).reduce(0, +) < Self.allBytesMax)
  }

  @Test(arguments: paths) func `a client with the current representation gets 304`(path: String) throws {
    for encoding in ["", Self.gzip] {
      let full = try send("GET", path, headers: encoding)
      let tag = try #require(full.headers["ETag"])
      for known in [tag, "W/\(tag)", "\"other\", \(tag)", "\"other\",W/\(tag) , \"more\"", "*"] {
        for method in ["GET", "HEAD"] {
          let answer = try send(method, path, headers: encoding + "If-None-Match: \(known)\r\n")
          #expect(answer.status == "304 Not Modified" && answer.body == "", "\(method) \(known)")
          #expect(answer.headers["ETag"] == tag && answer.headers["Vary"] == "Accept-Encoding")
          #expect(answer.headers["Cache-Control"] == "no-cache" && answer.headers["Content-Length"] == nil)
        }
      }
      for other in ["\"other\"", String(tag.dropFirst()), "\"\"", "W/*"] {
        #expect(try send("GET", path, headers: encoding + "If-None-Match: \(other)\r\n").status == "200 OK", "\(other)")
      }
    }
  }

  @Test func `the tag of one content coding does not match the other`() throws {
    let plain = try #require(try send("GET", "/").headers["ETag"])
    #expect(try send("GET", "/", headers: Self.gzip + "If-None-Match: \(plain)\r\n").status == "200 OK")
  }

  @Test(arguments: paths) func `HEAD has the headers of GET and no body`(path: String) throws {
    for encoding in ["", Self.gzip] {
      let get = try send("GET", path, headers: encoding)
      let head = try send("HEAD", path, headers: encoding)
      #expect(head.status == "200 OK" && head.body == "")
      for name in ["Content-Type", "Content-Length", "Content-Encoding", "ETag", "Vary", "Cache-Control"] {
        #expect(head.headers[name] == get.headers[name], "\(name)")
      }
    }
  }

  @Test(arguments: [
    "/assets/nothing.js", "/assets/", "/assets/style.css/", "/assets/style%2Ecss", "/assets/shop.html",
    "/assets/../style.css", "/assets/STYLE.css", "/assets//style.css", "/p/", "/p/1/", "/p/1/2", "/product.html/x",
    "/docs/", "/dashboard/",
  ])
  func `another address is 404 and not stored`(path: String) throws {
    let answer = try send("GET", path)
    #expect(answer.status == "404 Not Found" && answer.headers["Cache-Control"] == "no-store", "\(answer)")
    #expect(answer.headers["Content-Type"] == "application/problem+json" && answer.headers["ETag"] == nil)
  }

  @Test(arguments: ["/dashboard.html", "/Dashboard", "/dash%62oard", "/shop.html", "/docs.html", "/Docs"])
  func `a page has one address`(path: String) {
    let routes = PageRoutes(settings: PageSettings(checkoutURL: nil, playsProvider: false)).routes
    let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: path)
    if case .none = RouteTable(routes: routes).match(head) { return }
    Issue.record("\(path) has a route")
  }

  @Test func `other methods are 405`() throws {
    let answer = try send("PUT", "/assets/style.css")
    #expect(answer.status == "405 Method Not Allowed" && answer.headers["Allow"] == "GET, HEAD")
  }

  @Test func `the settings of the pages are strings that scripts can read`() {
    let plain = PageSettings(checkoutURL: nil, playsProvider: true)
    #expect(plain.script == "export const checkoutURL = null;\nexport const playsProvider = true;\n")
    let url = #"https://pay.example/?a="</script>\"#
    #expect(
      PageSettings(checkoutURL: url, playsProvider: false).script
        == #"export const checkoutURL = "https://pay.example/?a=\"</script>\\";"# + "\n"
        + "export const playsProvider = false;\n")
  }
}
