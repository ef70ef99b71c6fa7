import Foundation
import TestSupport
import NIOHTTP1
import Testing

@testable import API

@Suite struct CustomerTokensTests {
  private static let shop = CustomerTokenSigner()
  private static let next = CustomerTokenSigner(kid: "next", key: "the next key of the shop: 32 bytes or more")
  private static let now = 1_800_000_000.0

  private func tokens(_ signers: CustomerTokenSigner...) throws -> CustomerTokens {
    CustomerTokens(keys: try signers.map { try #require(CustomerTokenKey($0.setting)) })
  }

  /// The customer's id, `-` without a customer, or the refusal.
  private func customer(_ field: SingleField, of tokens: CustomerTokens, at now: Double = now) -> String {
    do throws(CustomerTokens.Refusal) {
      switch try tokens.customer(of: field, at: now) {
      case .proven(let id): return id
      case .unproven: return "-"
      case .trusted: return "trusted"
      }
    } catch {
      return error.rawValue
    }
  }

  private func customer(_ token: String, of tokens: CustomerTokens, at now: Double = now) -> String {
    customer(.value("Bearer " + token), of: tokens, at: now)
  }

  private static func claims(_ more: String = #""exp":1800000100"#) -> String {
    #"{"sub":"ada","aud":"flashsale",\#(more)}"#
  }

  /// RFC 7515, appendix A.1. The token there has no audience.
  @Test func `the example of the RFC has a valid signature`() throws {
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    let bytes = try #require(Base64URL.decode(Array(secret.utf8)[...]))
    let key = try #require(CustomerTokenKey("rfc:" + Data(bytes).base64EncodedString()))
    let message =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      + "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    let code = try #require(Base64URL.decode(Array(signature.utf8)[...]))
    #expect(key.signs(Array(message.utf8)[...], with: code))
    #expect(!key.signs(Array(message.utf8).dropLast(), with: code))
    let tokens = CustomerTokens(keys: [key])
    #expect(customer(message + "." + signature, of: tokens) == "token_audience")
    #expect(customer(message + "." + signature.dropLast() + "l", of: tokens) == "token_malformed")
    #expect(customer(message + ".e" + signature.dropFirst(), of: tokens) == "token_signature")
  }

  @Test func `the customer is the sub of the token`() throws {
    let tokens = try tokens(Self.shop)
    #expect(customer(Self.shop.token(Self.claims()), of: tokens) == "ada")
    let name = Self.shop.token(#"{"sub":"Zo\u00eb \ud83d\ude80","aud":"flashsale","exp":1800000100}"#)
    #expect(customer(name, of: tokens) == "Zo\u{eb} 🚀")
    #expect(customer(.value(" bEARER  \(Self.shop.token(Self.claims())) \t"), of: tokens) == "ada")
  }

  @Test func `a request without a bearer token has no customer`() throws {
    let tokens = try tokens(Self.shop)
    #expect(customer(.absent, of: tokens) == "-")
    for other in ["Basic eA==", "", "Bearer", "Bearerx y"] { #expect(customer(.value(other), of: tokens) == "-") }
  }

  @Test func `two Authorization fields are refused`() throws {
    let credentials = "Bearer " + Self.shop.token(Self.claims())
    let headers: HTTPHeaders = ["Authorization": credentials, "authorization": credentials]
    let field = headers.single(ofLowercased: "authorization")
    #expect(customer(field, of: try tokens(Self.shop)) == "authorization_repeated")
  }

  @Test(arguments: [
    #"{"alg":"none"}"#, #"{"alg":"RS256","kid":"shop"}"#, #"{"alg":"HS512","kid":"shop"}"#, #"{"alg":"hs256"}"#,
    #"{"alg":["HS256"]}"#, #"{"alg":null}"#, #"{"kid":"shop"}"#, "{}",
  ])
  func `only HS256 is accepted`(header: String) throws {
    let token = Self.shop.token(Self.claims(), header: header)
    #expect(customer(token, of: try tokens(Self.shop)) == "token_algorithm")
    let unsigned = token.split(separator: ".").prefix(2).joined(separator: ".") + "."
    #expect(customer(unsigned, of: try tokens(Self.shop)) == "token_algorithm")
  }

  @Test func `the kid names the key, and may be absent if there is one key`() throws {
    let both = try tokens(Self.shop, Self.next)
    for signer in [Self.shop, Self.next] { #expect(customer(signer.token(Self.claims()), of: both) == "ada") }
    let one = try tokens(Self.shop)
    #expect(customer(Self.next.token(Self.claims()), of: one) == "token_unknown_key")
    // The key of another kid has signed it.
    #expect(
      customer(Self.next.token(Self.claims(), header: #"{"alg":"HS256","kid":"shop"}"#), of: both) == "token_signature")
    let unnamed = Self.shop.token(Self.claims(), header: #"{"alg":"HS256"}"#)
    #expect(customer(unnamed, of: one) == "ada")
    #expect(customer(unnamed, of: both) == "token_unknown_key")
    #expect(
      customer(Self.shop.token(Self.claims(), header: #"{"alg":"HS256","kid":1}"#), of: one) == "token_unknown_key")
  }

  @Test func `critical extensions are refused`() throws {
    let token = Self.shop.token(Self.claims(), header: #"{"alg":"HS256","crit":["b64"],"b64":false}"#)
    #expect(customer(token, of: try tokens(Self.shop)) == "token_extension")
  }

  @Test(arguments: [
    (#""aud":"flashsale""#, "ada"), (#""aud":["shop","flashsale"]"#, "ada"), (#""aud":["flash\u0073ale"]"#, "ada"),
    (#""aud":"shop""#, "token_audience"), (#""aud":[]"#, "token_audience"), (#""aud":["shop"]"#, "token_audience"),
    (#""aud":["flashsale",1]"#, "token_audience"), (#""aud":[["flashsale"]]"#, "token_audience"),
    (#""aud":null"#, "token_audience"), (#""aud":"Flashsale""#, "token_audience"), (#""x":1"#, "token_audience"),
    (#""aud":{"flashsale":1}"#, "token_audience"),
  ])
  func `the audience is or contains flashsale`(audience: String, expected: String) throws {
    let token = Self.shop.token(#"{"sub":"ada","exp":1800000100,\#(audience)}"#)
    #expect(customer(token, of: try tokens(Self.shop)) == expected)
  }

  @Test func `exp is required and nbf is obeyed, with a minute of tolerance`() throws {
    let tokens = try tokens(Self.shop)
    func result(_ claims: String, at now: Double) -> String {
      customer(Self.shop.token(Self.claims(claims)), of: tokens, at: now)
    }
    let end = Self.now + 100
    #expect(result(#""exp":1800000100"#, at: end + 59) == "ada")
    #expect(result(#""exp":1800000100"#, at: end + 60) == "token_expired")
    #expect(result(#""exp":1800000100.5"#, at: end + 60) == "ada")
    #expect(result(#""exp":1.8e9"#, at: Self.now) == "ada")
    #expect(result(#""exp":0"#, at: Self.now) == "token_expired")
    for bad in [#""exp":"1800000100""#, #""exp":null"#, #""exp":true"#, #""exp":1e999"#, #""iat":1800000100"#] {
      #expect(result(bad, at: Self.now) == "token_without_expiry", "\(bad)")
    }
    let begin = Self.now + 50
    #expect(result(#""exp":1800000100,"nbf":1800000050"#, at: begin - 60) == "ada")
    #expect(result(#""exp":1800000100,"nbf":1800000050"#, at: begin - 61) == "token_not_yet_valid")
    #expect(result(#""exp":1800000100,"nbf":"soon""#, at: Self.now) == "token_not_yet_valid")
  }

  @Test(arguments: [
    #""sub":null"#, #""x":"y""#, #""sub":"""#, #""sub":7"#, #""sub":" ada""#, #""sub":"a\u0000""#, #""sub":"a\u200b""#,
  ])
  func `the sub has the rules of a customer_id`(subject: String) throws {
    let token = Self.shop.token(#"{\#(subject),"aud":"flashsale","exp":1800000100}"#)
    #expect(customer(token, of: try tokens(Self.shop)) == "token_subject")
  }

  @Test func `a token has three parts in canonical Base64, with JSON in the first two`() throws {
    let tokens = try tokens(Self.shop)
    let good = Self.shop.token(Self.claims())
    for bad in [
      ".", "..", "...", good + ".", "." + good, good + "=", good.replacing(".", with: ""), good + "\u{301}",
      good.replacing("eyJ", with: "eyJ+"), "a" + good, String(good.dropFirst()),
      Self.shop.token(Self.claims(), header: "HS256"), Self.shop.token(Self.claims(), header: "[]"),
      Self.shop.token(Self.claims(), header: #"{"alg":"HS256","alg":"none"}"#),
    ] {
      #expect(customer(bad, of: tokens) == "token_malformed", "\(bad)")
    }
    for claims in ["", "null", "[]", Self.claims() + " x", #"{"sub":"ada","sub":"bob"}"#] {
      #expect(customer(Self.shop.token(claims), of: tokens) == "token_malformed", "\(claims)")
    }
  }

  /// Each bit of a token counts. Any changed character makes it invalid.
  @Test func `no changed token is accepted`() throws {
    let tokens = try tokens(Self.shop)
    let good = Array(Self.shop.token(Self.claims()).utf8)
    for index in good.indices {
      var bad = good
      bad[index] = bad[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(customer(String(decoding: bad, as: UTF8.self), of: tokens) != "ada", "\(index)")
    }
  }

  @Test func `an entry of the setting has a kid and a key of 32 bytes`() {
    let key = Data("the key of the shop has 32 bytes".utf8).base64EncodedString()
    #expect(CustomerTokenKey("2026:11:\(key)")?.id == "2026:11")
    for bad in [
      key, ":\(key)", "a b:\(key)", "a:", "a:\(key.dropLast(4))", "a:\(Data(count: 31).base64EncodedString())",
      "a:\(key.replacing("=", with: ""))", "é:\(key)", "a:\(key),b:\(key)",
    ] {
      #expect(CustomerTokenKey(bad) == nil, "\(bad)")
    }
    #expect("\(CustomerTokenKey("a:" + key)!)" == "***")
  }

  @Test func `a name in the body must be that of the token`() throws {
    #expect(try Customer.trusted.id(claimed: "ada") == "ada")
    #expect(try Customer.proven("ada").id(claimed: "ada") == "ada")
    #expect(try Customer.proven("ada").id(claimed: nil) == "ada")
    #expect(try Customer.unproven.id(claimed: nil) == nil)
    #expect(throws: Problem.self) { try Customer.unproven.id(claimed: "ada") }
    // Equal by Unicode's equivalence, and different in bytes.
    #expect(throws: Problem.self) { try Customer.proven("Zo\u{eb}").id(claimed: "Zoe\u{308}") }
  }
}
