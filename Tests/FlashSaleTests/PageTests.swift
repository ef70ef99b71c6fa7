import AsyncHTTPClient
import Foundation
import NIOCore
import TestSupport
import Testing

extension FlashSaleTests {
  /// The pages of a real server.
  @Suite struct PageTests {
    /// The limits in bytes of a first visit, in gzip form and with headers. Buyers may have a slow network.
    private static let firstVisitMax = [
      (page: "/", bytes: 40_000), ("/p/1", 40_000), ("/dashboard", 70_000), ("/docs", 55_000),
    ]
    private static let allBytesMax = 150_000

    /// Decodes gzip. Never shut down.
    private static let decodingClient: HTTPClient = {
      var configuration = HTTPClient.Configuration()
      configuration.decompression = .enabled(limit: .size(1 << 20))
      return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    @Test(.database) func `without PAGES the addresses of the pages are 404`() async throws {
      try await withServers(1, on: TestDatabase.url) { servers in
        for path in ["/", "/p/1", "/dashboard", "/docs", "/assets/style.css", "/assets/settings.js"] {
          let answer = try await servers[0].api.send("GET", path)
          #expect(answer.problem == "not-found" && answer.headers["cache-control"] == "no-store", "\(path): \(answer)")
        }
        let metrics = try await servers[0].api.send("GET", "/metrics")
        #expect(!String(buffer: metrics.body).contains("/assets/"))
      }
    }

    @Test(.database) func `the files of a page are small, and the gzip form has the same content`() async throws {
      let settings = ["PAGES": "true", "CHECKOUT_URL": "https://pay.example/start?shop=1"]
      try await withServers(1, on: TestDatabase.url, settings: settings) { servers in
        var all: [String: Int] = [:]
        for (page, bytesMax) in Self.firstVisitMax {
          let files = try await Self.load(page, from: servers[0].api)
          #expect(files.count > 5 && files.values.reduce(0, +) < bytesMax, "\(files)")
          all.merge(files) { $1 }
        }
        #expect(all.values.reduce(0, +) < Self.allBytesMax, "\(all)")
        let script = try await servers[0].api.send("GET", "/assets/settings.js")
        let text = String(buffer: script.body)
        #expect(text.contains(#"checkoutURL = "https://pay.example/start?shop=1";"#), "\(text)")
        #expect(text.contains("playsProvider = false"), "\(text)")
      }
    }

    @Test(.database) func `metrics and the access log show pages by the templates of their routes`() async throws {
      let settings = ["PAGES": "true", "ACCESS_LOG": "true"]
      try await withServers(1, on: TestDatabase.url, settings: settings) { servers in
        let server = servers[0]
        let unknown = ["/assets/unknown-1.js", "/assets/unknown-2.js"]
        for path in ["/", "/p/7", "/dashboard", "/docs", "/assets/style.css"] + unknown {
          _ = try await server.api.send("GET", path)
        }
        let metrics = String(buffer: try await server.api.send("GET", "/metrics").body)
        for route in ["/", "/p/{id}", "/dashboard", "/docs", "/assets/{name}"] {
          #expect(metrics.contains("route=\"\(route)\""), "\(route)")
          try await eventually("the log has \(route)") { server.output.contains("route=\(route) ") }
        }
        #expect(!metrics.contains("unknown-"))
        // The files that may be stored do not make other responses storable.
        for path in ["/assets/unknown-1.js", "/api/products", "/openapi.yaml"] {
          #expect(try await server.api.send("GET", path).headers["cache-control"] == "no-store", "\(path)")
        }
      }
    }

    /// Loads a page and the files that it needs, and compares the representations of each.
    ///
    /// - Returns: the size of each response in gzip form with its headers, by path.
    private static func load(_ page: String, from api: APIClient) async throws -> [String: Int] {
      var sizes: [String: Int] = [:]
      var paths = [page]
      while let path = paths.popLast() {
        guard sizes[path] == nil else { continue }
        let plain = try await api.send("GET", path)
        let packed = try await api.send("GET", path, headers: ["accept-encoding": "gzip"])
        try #require(plain.status == 200 && packed.status == 200, "\(path)")
        let head = packed.headers.map { "\($0.key): \($0.value)\r\n" }.joined()
        sizes[path] = head.utf8.count + packed.body.readableBytes
        #expect(try await decoded(api.url + path) == plain.body, "\(path)")
        let text = String(buffer: plain.body)
        paths += text.matches(of: /"(\/assets\/[^"]+)"/).map { String($0.output.1) }
        paths += text.matches(of: /"\.\/([a-z-]+\.js)"/).map { "/assets/\($0.output.1)" }
      }
      return sizes
    }

    private static func decoded(_ url: String) async throws -> ByteBuffer {
      var request = HTTPClientRequest(url: url)
      request.headers.add(name: "accept-encoding", value: "gzip")
      return try await decodingClient.execute(request, timeout: .seconds(30)).body.collect(upTo: 1 << 20)
    }
  }
}
