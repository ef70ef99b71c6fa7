import FoundationEssentials
import Testing

@testable import API

@Suite struct WebhookVerifierTests {
  private static let secret = WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")!
  private static let rotated = WebhookSecret("whsec_Zmxhc2hzYWxlLXRyeS1pdC1sb2NhbGx5LW9ubHkhISE=")!
  private static let body = Array(#"{"test": 2432232314}"#.utf8)
  private static let sentAt: Int64 = 1_614_265_330
  private static let verifier = WebhookVerifier(secrets: [secret, rotated])

  private func isAuthentic(
    id: String? = "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: String? = "1614265330", signatures: String?,
    body: [UInt8] = body, now: Int64 = sentAt
  ) -> Bool {
    Self.verifier.isAuthentic(id: id, timestamp: timestamp, signatures: signatures, body: body, now: now)
  }

  private static let good = secret.signature(id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: sentAt, body: body)

  /// The example that the implementations of Standard Webhooks share.
  @Test func signsAsOthersDo() {
    #expect(Self.good == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  }

  @Test func acceptsAnySecretAndAnyOfSeveralSignatures() {
    #expect(isAuthentic(signatures: Self.good))
    #expect(isAuthentic(signatures: "v1,AAAA v2,BBBB " + Self.good))
    let other = Self.rotated.signature(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: Self.sentAt, body: Self.body)
    #expect(isAuthentic(signatures: other))
  }

  @Test func refusesWhatIsMissingOrChanged() {
    #expect(!isAuthentic(id: nil, signatures: Self.good))
    #expect(!isAuthentic(id: "msg_other", signatures: Self.good))
    #expect(!isAuthentic(timestamp: nil, signatures: Self.good))
    #expect(!isAuthentic(timestamp: "1614265331", signatures: Self.good))
    #expect(!isAuthentic(signatures: nil))
    #expect(!isAuthentic(signatures: ""))
    #expect(!isAuthentic(signatures: "v2," + Self.good.dropFirst(3)))
    #expect(!isAuthentic(signatures: Self.good, body: Array(#"{"test":2432232314}"#.utf8)))
    let stranger = WebhookSecret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")!
    #expect(
      !isAuthentic(
        signatures: stranger.signature(id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: Self.sentAt, body: Self.body)))
  }

  @Test func toleratesFiveMinutesEitherWay() {
    for (age, expected) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] as [(Int64, Bool)] {
      #expect(isAuthentic(signatures: Self.good, now: Self.sentAt + age) == expected)
    }
  }

  @Test(arguments: ["", "abc", "1614265330.0", "9223372036854775807", "-9223372036854775808", "99999999999999999999"])
  func refusesTimestampsThatAreNone(timestamp: String) {
    let signature =
      Int64(timestamp).map { Self.secret.signature(id: "m", timestamp: $0, body: Self.body) } ?? Self.good
    #expect(!isAuthentic(id: "m", timestamp: timestamp, signatures: signature))
  }

  @Test(arguments: ["", "whsec_", "whsec_?", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
  func refusesSecretsThatAreNone(text: String) {
    #expect(WebhookSecret(text) == nil)
  }
}
