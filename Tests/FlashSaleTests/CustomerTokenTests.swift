import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// Requests with customer tokens, as a page or an app of the shop sends them.
  @Suite struct CustomerTokenTests {
    private static let shop = CustomerTokenSigner()
    private static let settings = ["CUSTOMER_TOKEN_KEYS": shop.setting]

    private static func bearer(_ token: String) -> String { "Authorization: Bearer " + token }

    private static func hold(
      _ product: Int, _ headers: String..., more members: String = "", at server: ServerProcess
    ) async throws -> APIClient.Answer {
      try await server.answer(
        to: "POST /api/holds", headers, body: #"{"product_id":\#(product),"quantity":1\#(members)}"#)
    }

    @Test(.database) func `the customer of a hold is the sub of the token`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10, maximumPerCustomer: 2)
        let (ada, bob) = (Self.bearer(Self.shop.token(of: "ada")), Self.bearer(Self.shop.token(of: "bob")))
        for _ in 0..<2 { #expect(try await Self.hold(product, ada, at: server).status == 201) }
        #expect(try await Self.hold(product, ada, at: server).problem == "customer-limit-reached")
        #expect(try await Self.hold(product, bob, more: #","customer_id":"bob""#, at: server).status == 201)
        let other = try await Self.hold(product, bob, more: #","customer_id":"ada""#, at: server)
        #expect(other.problem == "validation" && String(buffer: other.body).contains("/customer_id"), "\(other)")
        let nobody = try await Self.hold(product, at: server)
        #expect(nobody.status == 401 && nobody.problem == "customer-token-required", "\(nobody)")
        #expect(nobody.headers["www-authenticate"] == "Bearer")
        let counts = try await withPool(on: url) { pool in
          let ofAda = try await pool.integer("select count(*) from holds where customer_id = 'ada'")
          let ofBob = try await pool.integer("select count(*) from holds where customer_id = 'bob'")
          return [ofAda, ofBob, try await pool.integer("select count(*) from holds")]
        }
        #expect(counts == [2, 1, 3])
      }
    }

    @Test(.database) func `only a token can name the customer`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        let claimed = try await Self.hold(product, more: #","customer_id":"ada""#, at: server)
        #expect(claimed.problem == "customer-token-required", "\(claimed)")
        // Without a limit per customer, a hold needs no customer. A proxy may use another scheme.
        #expect(try await Self.hold(product, at: server).status == 201)
        #expect(try await Self.hold(product, "Authorization: Basic eA==", at: server).status == 201)
        #expect(try await server.api.product(product).availableStock == 8)
      }
    }

    @Test(.database) func `an invalid token is refused with its reason, and has no effect`() async throws {
      let url = TestDatabase.url
      let next = CustomerTokenSigner(kid: "next", key: "a key that this server does not have")
      let end = Int(Date().timeIntervalSince1970) + 300
      let claims = #"{"sub":"ada","aud":"flashsale","exp":\#(end)}"#
      let valid = Self.shop.token(claims)
      let unsigned = Self.shop.token(claims, header: #"{"alg":"none"}"#).split(separator: ".").prefix(2)
      let cases: [([String], String)] = [
        ([unsigned.joined(separator: ".") + "."], "token_algorithm"),
        ([Self.shop.token(claims, header: #"{"alg":"RS256","kid":"shop"}"#)], "token_algorithm"),
        ([Self.shop.token(#"{"sub":"ada","aud":"another","exp":\#(end)}"#)], "token_audience"),
        ([Self.shop.token(#"{"sub":"ada","exp":\#(end)}"#)], "token_audience"),
        ([Self.shop.token(#"{"sub":"ada","aud":"flashsale"}"#)], "token_without_expiry"),
        ([Self.shop.token(of: "ada", expiresIn: -3600)], "token_expired"),
        (
          [Self.shop.token(#"{"sub":"ada","aud":"flashsale","exp":\#(end),"nbf":\#(end - 100)}"#)],
          "token_not_yet_valid"
        ),
        ([Self.shop.token(#"{"aud":"flashsale","exp":\#(end)}"#)], "token_subject"),
        ([next.token(claims)], "token_unknown_key"),
        ([next.token(claims, header: #"{"alg":"HS256","kid":"shop"}"#)], "token_signature"),
        ([valid.replacing("eyJ", with: "eyJ*")], "token_malformed"), ([valid + "="], "token_malformed"),
        (["x"], "token_malformed"), ([valid, valid], "authorization_repeated"),
      ]
      try await withServers(1, on: url, settings: Self.settings.merging(["ACCESS_LOG": "true"]) { $1 }) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        let body = #"{"product_id":\#(product),"quantity":1}"#
        for (tokens, reason) in cases {
          let answer = try await server.answer(to: "POST /api/holds", tokens.map(Self.bearer), body: body)
          #expect(answer.status == 401 && answer.problem == "invalid-customer-token", "\(reason): \(answer)")
          #expect(answer.headers["www-authenticate"] == "Bearer", "\(reason)")
        }
        #expect(try await server.api.product(product).availableStock == 10)
        let metrics = String(buffer: try await server.api.send("GET", "/metrics").body)
        for reason in Set(cases.map(\.1)) {
          let count = cases.count { $0.1 == reason }
          #expect(metrics.contains(#"flashsale_buyer_refusals_total{reason="\#(reason)"} \#(count)"#), "\(reason)")
        }
        #expect(try await server.answer(to: "POST /api/holds", [Self.bearer(valid)], body: body).status == 201)
        try await server.end(with: .terminate)
        #expect(server.output.contains("token_expired") && !server.output.contains(valid))
      }
    }

    /// A hold's id cannot be guessed, so whoever has it may order and read.
    @Test(.database) func `orders and releases need no token, and refuse an invalid one`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10, maximumPerCustomer: 5)
        let ada = Self.bearer(Self.shop.token(of: "ada"))
        var holds: [APIClient.Hold] = []
        for _ in 0..<3 { holds.append(try await Self.hold(product, ada, at: server).decode()) }
        let invalid = [Self.bearer("x")]
        for (hold, headers) in zip(holds, [[], [ada]]) {
          let body = #"{"hold_id":"\#(hold.holdId)"}"#
          #expect(
            try await server.answer(to: "POST /api/orders", invalid, body: body).problem == "invalid-customer-token")
          #expect(try await server.answer(to: "POST /api/orders", headers, body: body).status == 201)
        }
        let last = "/api/holds/\(holds[2].holdId)"
        #expect(try await server.answer(to: "DELETE \(last)", invalid).problem == "invalid-customer-token")
        // An EventSource cannot send a token, so reads ignore it.
        for path in [last, "/api/orders/\(holds[0].orderID)", "/api/products/\(product)", "/api/products"] {
          #expect(try await server.answer(to: "GET \(path)", invalid).status == 200, "\(path)")
        }
        #expect(try await server.answer(to: "DELETE \(last)").status == 200)
      }
    }

    @Test(.database) func `a key belongs to the customer of the token`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 10)
        var holds: [String: String] = [:]
        for customer in ["ada", "bob", "ada"] {
          let answer = try await Self.hold(
            product, Self.bearer(Self.shop.token(of: customer)), "Idempotency-Key: k", at: servers[0])
          #expect((answer.headers["idempotent-replayed"] != nil) == (holds[customer] != nil))
          let hold = try answer.decode(APIClient.Hold.self).holdId
          #expect(holds[customer] == nil || holds[customer] == hold)
          holds[customer] = hold
        }
        #expect(Set(holds.values).count == 2)
      }
    }

    @Test(.database) func `both keys of a rotation are valid`() async throws {
      let url = TestDatabase.url
      let next = CustomerTokenSigner(kid: "next", key: "the next key of the shop: 32 bytes or more")
      let settings = ["CUSTOMER_TOKEN_KEYS": " \(Self.shop.setting) , \(next.setting)\n"]
      try await withServers(1, on: url, settings: settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 10, maximumPerCustomer: 1)
        for (signer, customer) in [(Self.shop, "ada"), (next, "bob")] {
          let answer = try await Self.hold(product, Self.bearer(signer.token(of: customer)), at: servers[0])
          #expect(answer.status == 201, "\(answer)")
        }
      }
    }

    @Test(.database) func `without keys the body names the customer and Authorization is ignored`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 10, maximumPerCustomer: 1)
        let invalid = Self.bearer("x")
        let held = try await Self.hold(product, invalid, invalid, more: #","customer_id":"ada""#, at: servers[0])
        #expect(held.status == 201, "\(held)")
        #expect(try await Self.hold(product, invalid, at: servers[0]).problem == "validation")
      }
    }
  }
}
