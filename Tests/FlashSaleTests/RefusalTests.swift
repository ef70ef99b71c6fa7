import Foundation
import TestSupport
import Testing
import Time

/// A request that the server must refuse, with the expected response. The rows cover the contract's table of refusals,
/// and messages that HTTP forbids.
private struct BadInput: Sendable {
  let name: String
  let bytes: [UInt8]
  let status: UInt
  let problem: String
  /// The pointers to the invalid members.
  var pointers: [String]?
  var allow: String?
  /// Whether the server closes the connection after the response.
  var closes = false

  static func request(
    _ method: String, _ path: String, _ body: [UInt8]? = nil, _ headers: String...
  ) -> [UInt8] {
    let length = body.map { ["Content-Length: \($0.count)"] } ?? []
    let token = path.hasPrefix("/api/admin/") ? ["Authorization: Bearer \(ServerProcess.adminToken)"] : []
    let lines = ["\(method) \(path) HTTP/1.1", "Host: sale"] + token + headers + length + ["", ""]
    return Array(lines.joined(separator: "\r\n").utf8) + (body ?? [])
  }

  private static let posts = ["/api/holds", "/api/orders", "/api/payments/webhook", "/api/admin/products"]
  private static let good = Array(#"{"product_id":1,"quantity":1}"#.utf8)
  private static let chunked = Array("1d\r\n".utf8) + good + Array("\r\n0\r\n\r\n".utf8)

  // MARK: The rows

  private static let malformed: [BadInput] = {
    let nested = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
    let texts = [
      "", " ", "{", #"{"product_id":1,"quantity":1"#, #"{"product_id":1,"quantity":1}}"#,
      #"{"product_id":1,"quantity":1} x"#,
      #"{"product_id":1,"quantity":1,}"#, #"{"product_id":1,"quantity":1,"x":\#(nested)}"#,
      #"{"product_id":1,"quantity":1,"x":"\ud800"}"#, #"{"product_id":1,"quantity":1,"x":"\udc00\ud800"}"#,
      #"{"product_id":1,"quantity":1,"quantity":2}"#, #"{"product_id":1,"quantity":NaN}"#,
      #"{"product_id":1,"quantity":01}"#, "[]", "null", "1", #""product_id""#, "product_id=1&quantity=1", "\u{FEFF}{}",
    ]
    let bodies =
      texts.map { Array($0.utf8) } + [
        Array(#"{"product_id":1,"quantity":1,"x":""#.utf8) + [0xFF] + Array(#""}"#.utf8),
        Array(#"{"product_id":1,"quantity":1,"x":""#.utf8) + [0xED, 0xA0, 0x80] + Array(#""}"#.utf8),
        Array(String(decoding: good, as: UTF8.self).data(using: .utf16)!),
      ]
    return posts.flatMap { path in
      bodies.map {
        BadInput(
          name: "\(path) \(String(decoding: $0, as: UTF8.self))", bytes: request("POST", path, $0), status: 400,
          problem: "malformed-request")
      }
    } + [BadInput(name: "no body", bytes: request("POST", "/api/holds"), status: 400, problem: "malformed-request")]
  }()

  private static let invalid: [BadInput] = {
    func row(_ path: String, _ body: String, _ pointers: String...) -> BadInput {
      BadInput(
        name: "\(path) \(body)", bytes: request("POST", path, Array(body.utf8)), status: 422, problem: "validation",
        pointers: pointers)
    }
    let numbers = [#""1""#, "1.5", "1e-1", "true", "0", "-1", "2147483648", "1e400", "null", "[1]", "{}"]
    let long = String(repeating: "x", count: 256)
    return numbers.map { row("/api/holds", #"{"product_id":1,"quantity":\#($0)}"#, "/quantity") }
      + numbers.map { row("/api/holds", #"{"product_id":\#($0),"qty":\#($0)}"#, "/product_id", "/qty") } + [
        row("/api/holds", "{}", "/product_id", "/quantity"),
        row("/api/orders", "{}", "/hold_id"),
        row("/api/orders", #"{"hold_id":1}"#, "/hold_id"),
        row("/api/orders", #"{"hold_id":"\#(long)"}"#, "/hold_id"),
        row("/api/orders", #"{"hold_id":"hold_\u0000"}"#, "/hold_id"),
        row("/api/payments/webhook", "{}", "/idempotency_key", "/order_id", "/status"),
        row(
          "/api/payments/webhook",
          #"{"idempotency_key":"a\u0000b","order_id":"\#(long)","status":"paid","amount":-1,"currency":"u$d"}"#,
          "/amount", "/currency", "/idempotency_key", "/order_id", "/status"),
        row(
          "/api/payments/webhook", #"{"idempotency_key":"\#(long)","order_id":"","status":1}"#, "/idempotency_key",
          "/order_id", "/status"),
        row(
          "/api/admin/products", #"{"name":"","price":0,"currency":"US","total_stock":-1}"#, "/currency", "/name",
          "/price", "/total_stock"),
      ]
  }()

  private static let unknown: [BadInput] = {
    let ids = [
      "0", "-1", "01", "+1", "1.0", "2147483648", "x", "%00", "hold_", "hold_" + String(repeating: "g", count: 32),
    ]
    let paths = ["/api/products/", "/api/holds/", "/api/orders/"].flatMap { path in ids.map { path + $0 } }
    return (paths + ["/", "/api", "/api/nothing", "/api/holds/a/b", "/problems/nothing", "//", "/%00", "*"]).map {
      BadInput(name: "GET \($0)", bytes: request("GET", $0), status: 404, problem: "not-found")
    }
      + [
        ("/api/orders", #"{"hold_id":"order_00000001000000000000000000000000"}"#),
        ("/api/orders", #"{"hold_id":"hold_x"}"#),
        ("/api/payments/webhook", #"{"idempotency_key":"k","order_id":"x","status":"success"}"#),
      ].map { path, body in
        BadInput(
          name: "\(path) \(body)", bytes: request("POST", path, Array(body.utf8)), status: 404, problem: "not-found")
      }
  }()

  private static let misdirected: [BadInput] =
    [
      ("PUT", "/api/holds", "POST"), ("GET", "/api/orders", "POST"), ("POST", "/api/products/1", "GET, HEAD"),
      ("PATCH", "/api/holds/hold_1", "DELETE, GET, HEAD"), ("OPTIONS", "/api/payments/webhook", "POST"),
      ("PROPFIND", "/health/live", "GET, HEAD"), ("TRACE", "/api/admin/invariants", "GET, HEAD"),
    ].map { method, path, allow in
      BadInput(
        name: "\(method) \(path)", bytes: request(method, path), status: 405, problem: "method-not-allowed",
        allow: allow)
    }
    + ["text/html", "application/xml", "multipart/form-data; boundary=x", "x"].map { type in
      BadInput(
        name: type, bytes: request("POST", "/api/holds", good, "Content-Type: \(type)"), status: 415,
        problem: "unsupported-media-type")
    }

  private static let oversized: [BadInput] = [
    BadInput(
      name: "a large body", bytes: request("POST", "/api/holds", Array(repeating: 0x20, count: 16 * 1024) + good),
      status: 413, problem: "payload-too-large", closes: true),
    BadInput(
      name: "a large body that does not come", bytes: request("POST", "/api/holds", nil, "Content-Length: 1000000000"),
      status: 413, problem: "payload-too-large", closes: true),
    BadInput(
      name: "a large body in chunks",
      bytes: request("POST", "/api/holds", nil, "Transfer-Encoding: chunked")
        + (0..<5).flatMap { _ in Array("1000\r\n".utf8) + Array(repeating: 0x20, count: 4096) + Array("\r\n".utf8) },
      status: 413, problem: "payload-too-large", closes: true),
    BadInput(
      name: "a large header",
      bytes: request("GET", "/health/live", nil, "X: " + String(repeating: "x", count: 16 * 1024)), status: 431,
      problem: "headers-too-large", closes: true),
    BadInput(
      name: "many headers",
      bytes: request(
        "GET", "/health/live", nil,
        (0..<200).map { "X\($0): \(String(repeating: "x", count: 90))" }.joined(separator: "\r\n")),
      status: 431, problem: "headers-too-large", closes: true),
    BadInput(
      name: "very many small headers",
      bytes: request("GET", "/health/live", nil, (0..<300).map { "X\($0): x" }.joined(separator: "\r\n")),
      status: 431, problem: "headers-too-large", closes: true),
    BadInput(
      name: "a long address", bytes: request("GET", "/" + String(repeating: "x", count: 16 * 1024)), status: 431,
      problem: "headers-too-large", closes: true),
  ]

  private static let notHTTP: [BadInput] =
    [
      ("no HTTP", Array("hello\r\n\r\n".utf8)), ("TLS", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]),
      ("no method that is known", request("FETCH", "/health/live")), ("HTTP/0.9", Array("GET /\r\n\r\n".utf8)),
      ("HTTP/2", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)),
      ("a header without a colon", request("GET", "/health/live", nil, "x")),
      ("a space before the colon", request("GET", "/health/live", nil, "X : y")),
      ("a folded header", request("GET", "/health/live", nil, "X: y", " z")),
      ("NUL in a header", request("GET", "/health/live", nil, "X: \0")),
      ("two hosts", request("GET", "/health/live", nil, "Host: other")),
      ("no host", Array("GET /health/live HTTP/1.1\r\n\r\n".utf8)),
      ("a host that is none", Array("GET /health/live HTTP/1.1\r\nHost: sale/api\r\n\r\n".utf8)),
      ("two lengths", request("POST", "/api/holds", good, "Content-Length: 5")),
      ("two lengths that agree", request("POST", "/api/holds", good, "Content-Length: \(good.count)")),
      ("a list of lengths", request("POST", "/api/holds", nil, "Content-Length: 29, 29") + good),
      ("a negative length", request("POST", "/api/holds", nil, "Content-Length: -1") + good),
      ("a length that overflows", request("POST", "/api/holds", nil, "Content-Length: 99999999999999999999") + good),
      (
        "a length and chunks",
        request("POST", "/api/holds", nil, "Content-Length: 39", "Transfer-Encoding: chunked") + chunked
      ),
      (
        "chunks and a length",
        request("POST", "/api/holds", nil, "Transfer-Encoding: chunked", "Content-Length: 39") + chunked
      ),
      ("another encoding", request("POST", "/api/holds", nil, "Transfer-Encoding: gzip") + chunked),
      (
        "an encoding after chunks", request("POST", "/api/holds", nil, "Transfer-Encoding: chunked, identity") + chunked
      ),
      (
        "a chunk size that is none",
        request("POST", "/api/holds", nil, "Transfer-Encoding: chunked") + Array("xx\r\n".utf8)
      ),
    ].map { BadInput(name: $0, bytes: $1, status: 400, problem: "malformed-request", closes: true) }
    + [
      BadInput(
        name: "an expectation", bytes: request("POST", "/api/holds", good, "Expect: a-miracle"), status: 417,
        problem: "expectation-failed", closes: true)
    ]

  private static let misframed: [BadInput] = {
    func host(_ value: String) -> [UInt8] { Array("GET /health/live HTTP/1.1\r\nHost: \(value)\r\n\r\n".utf8) }
    func encoding(_ value: String, version: String = "1.1") -> [UInt8] {
      Array("POST /api/holds HTTP/\(version)\r\nHost: sale\r\nTransfer-Encoding: \(value)\r\n\r\n".utf8) + chunked
    }
    let rows: [(String, [UInt8])] = [
      ("a port that is none", host("a:99999x")), ("an IPv6 host without an end", host("[::1")),
      ("a host with angle brackets", host("a<b>")), ("another encoding before chunks", encoding("gzip, chunked")),
      ("chunks twice", encoding("chunked, chunked")), ("chunks in HTTP/1.0", encoding("chunked", version: "1.0")),
    ]
    return rows.map { BadInput(name: $0.0, bytes: $0.1, status: 400, problem: "malformed-request", closes: true) }
  }()

  static let all = malformed + invalid + unknown + misdirected + oversized + notHTTP + misframed
}

extension FlashSaleTests {
  @Suite struct RefusalTests {
    private static let healthCheck = BadInput.request("GET", "/health/live")

    @Test(.database) func `each bad input gets its problem and changes nothing`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        #expect(product == 1)
        try await withThrowingDiscardingTaskGroup { group in
          // Eight inputs at a time.
          for lane in 0..<8 {
            group.addTask {
              for index in stride(from: lane, to: BadInput.all.count, by: 8) {
                try await Self.expectRefusal(of: BadInput.all[index], by: server)
              }
            }
          }
        }
        #expect(try await server.api.product(product).availableStock == 10)
        #expect(try await server.api.send("GET", "/api/products").body.readableBytes < 400)
        try await expectCleanAudit(url)
      }
    }

    private static func expectRefusal(of input: BadInput, by server: ServerProcess) async throws {
      try await RawConnection.with(port: server.port) { connection in
        try await connection.send(input.bytes)
        let answer = try await connection.answer()
        #expect(answer.status == input.status, "\(input.name): \(answer)")
        #expect(answer.problem == input.problem, "\(input.name): \(answer)")
        #expect(answer.headers["x-request-id"]?.utf8.count == 32, "\(input.name): \(answer.headers)")
        #expect(answer.headers["allow"] == input.allow, "\(input.name)")
        if let pointers = input.pointers {
          #expect(
            try answer.decode(Validation.self).errors.map(\.pointer).sorted() == pointers, "\(input.name): \(answer)")
        }
        if input.closes {
          #expect(answer.headers["connection"] == "close", "\(input.name)")
          #expect(await connection.isClosed(), "\(input.name)")
        } else {
          try await connection.send(Self.healthCheck)
          #expect(try await connection.answer().status == 200, "\(input.name)")
        }
      }
    }

    private struct Validation: Decodable {
      struct Member: Decodable {
        let pointer: String
        let detail: String
      }
      let errors: [Member]
    }

    @Test(.database) func `a refusal comes after the responses before it`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        _ = try await servers[0].api.createProduct(stock: 10)
        let hold = BadInput.request("POST", "/api/holds", Array(#"{"product_id":1,"quantity":1}"#.utf8))
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send(
            hold + hold + BadInput.request("GET", "/", nil, "Content-Length: 1000000", "X-Request-Id: mine"))
          for _ in 0..<2 { #expect(try await connection.answer().status == 201) }
          let refusal = try await connection.answer()
          #expect(refusal.problem == "payload-too-large", "\(refusal)")
          #expect(refusal.headers["x-request-id"] == "mine")
          #expect(await connection.isClosed())
        }
      }
    }

    @Test(.database) func `the scheme of the admin token is accepted in any letter case`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let statuses: [(String, UInt)] = [("Bearer", 200), ("bearer", 200), ("BEARER ", 200), ("Basic", 401)]
        for (scheme, status) in statuses {
          try await RawConnection.with(port: servers[0].port) { connection in
            let lines = [
              "GET /api/admin/invariants HTTP/1.1", "Host: sale",
              "Authorization: \(scheme) \(ServerProcess.adminToken)", "", "",
            ]
            try await connection.send(lines.joined(separator: "\r\n").utf8)
            #expect(try await connection.answer().status == status, "\(scheme)")
          }
        }
      }
    }

    /// Both requests arrive in one read. The server must handle the second one although no other read follows.
    @Test(.database) func `a request pipelined after a hold gets its response without further input`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        _ = try await servers[0].api.createProduct(stock: 10)
        let hold = BadInput.request("POST", "/api/holds", Array(#"{"product_id":1,"quantity":1}"#.utf8))
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send(hold + BadInput.request("GET", "/api/products"))
          #expect(try await connection.answer().status == 201)
          #expect(try await connection.answer().status == 200)
        }
      }
    }

    @Test(.database) func `the address of each problem type gives an explanation`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        for problem in Set(BadInput.all.map(\.problem)) {
          let answer = try await servers[0].api.send("GET", "/problems/" + problem)
          #expect(answer.status == 200 && answer.headers["content-type"] == "text/plain; charset=utf-8")
          #expect(String(buffer: answer.body).contains(problem))
        }
      }
    }

    /// After such a request it is unknown where the decoder continues.
    @Test(.database) func `a connection ends with the response to an ambiguous upgrade`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send(
            BadInput.request("GET", "/health/live", nil, "Connection: x;Upgrade", "Upgrade: h2c") + Self.healthCheck)
          #expect(try await connection.answer().status == 200)
          #expect(await connection.isClosed())
        }
      }
    }

    @Test(.database) func `a partly received request gets its response during shutdown`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let port = servers[0].port
        try await RawConnection.with(port: port) { connection in
          // The first response shows that the server has read the head of the second request, too.
          try await connection.send(
            Self.healthCheck + BadInput.request("POST", "/api/holds", nil, "Content-Length: 2"))
          #expect(try await connection.answer().status == 200)
          servers[0].send(.terminate)
          try await eventually("no new connections") {
            try await RawConnection.isRefused(port: port)
          }
          try await connection.send("{}".utf8)
          #expect(try await connection.answer().status == 422)
          #expect(await connection.isClosed())
        }
      }
    }

    @Test(.database) func `a client that expects 100-continue gets 100 Continue`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send(
            BadInput.request("POST", "/api/holds", nil, "Expect: 100-continue", "Content-Length: 2"))
          #expect(try await connection.answer().status == 100)
          try await connection.send("{}".utf8)
          #expect(try await connection.answer().status == 422)
        }
      }
    }

    @Test(.database) func `the response to HEAD has the head of GET and no body`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        try await RawConnection.with(port: servers[0].port) { connection in
          for (path, status) in [("/health/live", 200), ("/api/products/1", 404), ("/nothing", 404)]
            as [(String, UInt)]
          {
            try await connection.send(BadInput.request("HEAD", path, nil, "Connection: keep-alive"))
            let head = try await connection.head()
            #expect(head.status == status)
            #expect(head.headers["content-length"].flatMap { Int($0) } ?? 0 > 0)
            try await connection.send(BadInput.request("GET", path))
            #expect(try await connection.answer().status == status)
          }
        }
      }
    }

    @Test(.database) func `a slowly arriving request is refused at a total deadline`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["REQUEST_TIMEOUT_SECONDS": "1"]) { servers in
        let port = servers[0].port
        let beginnings = [Array("GET /".utf8), BadInput.request("POST", "/api/holds", nil, "Content-Length: 10000")]
        for beginning in beginnings {
          let (answer, duration) = try await RawConnection.with(port: port) { connection in
            let start = Moment.now
            try await connection.send(beginning)
            // If each byte extended the deadline, the response would come only after the last byte.
            let (answer, isComplete) = try await connection.answer(
              whileSending: Array(repeating: 0x61, count: 400), every: .milliseconds(50))
            #expect(!isComplete, "the response came after the last byte")
            let duration = start.duration(to: .now)
            #expect(await connection.isClosed())
            return (answer, duration)
          }
          #expect(answer.status == 408 && answer.problem == "request-timeout", "\(answer)")
          #expect(duration >= .seconds(1), "\(duration)")
        }
      }
    }

    @Test(.database) func `an idle connection is closed, and a busy connection is not`() async throws {
      let url = TestDatabase.url
      // The hold waits for a lock longer than the idle timeout. `lock_timeout` ends that wait after 1.5 s.
      let settings = [
        "REQUEST_TIMEOUT_SECONDS": "0.2", "IDLE_TIMEOUT_SECONDS": "0.4", "QUEUE_TIMEOUT_MS": "60000",
      ]
      try await withServers(1, on: url, settings: settings) { servers in
        let port = servers[0].port
        _ = try await servers[0].api.createProduct(stock: 10)
        // Taken before the server's idle timer starts.
        let start = Moment.now
        try await RawConnection.with(port: port) { connection in #expect(await connection.isClosed()) }
        #expect(start.duration(to: .now) >= .seconds(0.4))

        try await withPool(on: url) { pool in
          try await pool.holding("select from products for update") { commit in
            try await RawConnection.with(port: port) { connection in
              try await connection.send(
                BadInput.request("POST", "/api/holds", Array(#"{"product_id":1,"quantity":1}"#.utf8)))
              try await pool.untilBlocked(1)
              // The server closes an idle connection that began later. The busy one has outlasted the timeouts.
              try await RawConnection.with(port: port) { idle in #expect(await idle.isClosed()) }
              try await commit()
              #expect(try await connection.answer().status == 201)
              #expect(await connection.isClosed())
            }
          }
        }
      }
    }
  }
}
