import Crypto
import FoundationEssentials
import StandardWebhooks
import TestSupport
import Testing

@testable import API

extension WebhookVerifier {
  fileprivate func isAuthentic(
    id: String?, timestamp: String?, signatures: String?, body: some DataProtocol, now: Int64
  ) -> Bool {
    refusal(id: id, timestamp: timestamp, signatures: signatures, body: body, now: now) == nil
  }
}

@Suite struct WebhookVerifierTests {
  private static let key = SymmetricKey(data: Data(base64Encoded: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")!)
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

  private func refusal(
    id: String? = id, timestamp: String? = "1614265330", signatures: String? = good, now: Int64 = sentAt
  ) -> WebhookVerifier.Refusal? {
    Self.verifier.refusal(id: id, timestamp: timestamp, signatures: signatures, body: Self.body, now: now)
  }

  @Test func `a refusal names its reason`() {
    for empty in [nil, ""] as [String?] {
      #expect(refusal(id: empty) == .headerMissing(name: "webhook-id"))
      #expect(refusal(timestamp: empty) == .headerMissing(name: "webhook-timestamp"))
      #expect(refusal(signatures: empty) == .headerMissing(name: "webhook-signature"))
    }
    #expect(refusal(id: String(repeating: "m", count: 256)) == .idTooLong)
    #expect(refusal(timestamp: "1614265330.0") == .timestampInvalid)
    #expect(refusal(now: Self.sentAt + 412) == .timestampOff(seconds: 412))
    #expect(refusal(now: Self.sentAt - 412) == .timestampOff(seconds: -412))
    #expect(refusal(signatures: Self.stranger) == .noSignatureFits)
    #expect(
      WebhookVerifier.Refusal.timestampOff(seconds: -412).detail.contains("412 s ahead of this server's clock"))
  }

  private static let good = secret.signature(id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: sentAt, body: body)

  @Test func `a signature equals the shared example of Standard Webhooks`() {
    #expect(Self.good == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  }

  private static let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
  private static let byRotated = rotated.signature(id: id, timestamp: sentAt, body: body)
  private static let stranger = WebhookSecret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")!
    .signature(id: id, timestamp: sentAt, body: body)

  @Test func `one valid signature by any configured secret is enough`() {
    for signatures in [
      Self.good, Self.byRotated, "\(Self.good) \(Self.byRotated)", "\(Self.stranger) \(Self.good)",
      "\(Self.good) \(Self.stranger)", "v1,AAAA v2,BBBB  \(Self.good) ",
      "v1a,\(Self.good.dropFirst(3)) \(Self.byRotated)",
    ] {
      #expect(isAuthentic(signatures: signatures), "\(signatures)")
    }
  }

  @Test func `a signature by a secret that is not configured is refused`() {
    let verifier = WebhookVerifier(secrets: [Self.rotated])
    for (signatures, expected) in [(Self.good, false), (Self.byRotated, true)] {
      let isAuthentic = verifier.isAuthentic(
        id: Self.id, timestamp: String(Self.sentAt), signatures: signatures, body: Self.body, now: Self.sentAt)
      #expect(isAuthentic == expected)
    }
  }

  @Test func `a missing or changed id, timestamp or body is refused`() {
    for id in [nil, "", "msg_other", Self.id + " ", Self.id.uppercased()] {
      #expect(!isAuthentic(id: id, signatures: Self.good))
    }
    for timestamp in [nil, "", "1614265331", "16142653300"] {
      #expect(!isAuthentic(timestamp: timestamp, signatures: Self.good))
    }
    // In another format, changed, cut, with an additional byte, and empty.
    for text in [
      #"{"test":2432232314}"#, #"{"test": 2432232315}"#, #"{"test": 2432232314"#, "{\"test\": 2432232314}\n", "",
    ] {
      #expect(!isAuthentic(signatures: Self.good, body: Array(text.utf8)))
    }
  }

  @Test func `a missing or malformed signature is refused`() {
    let code = Self.good.dropFirst("v1,".count)
    for signatures in [
      nil, "", " ", "v1", "v1,", Self.stranger, String(code), "v2,\(code)", "V1,\(code)", "v1a,\(code)", "v1:\(code)",
      ",\(code)",
      "v1,\(code.dropLast())", "v1,\(code)=", "v1,\(code),", "v1,\(code.prefix(20))\n\(code.dropFirst(20))",
      "v1, \(code)",
      "v1,\(code.replacing("/", with: "_").replacing("+", with: "-"))", "v1,\(code.lowercased())",
      String(Self.good.reversed()),
    ] {
      #expect(!isAuthentic(signatures: signatures), "\(signatures ?? "none")")
    }
  }

  /// A base64 decoder ignores two bits of the last digit before the padding, so four texts have the same code.
  @Test func `another base64 text of the same code is refused`() throws {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    let code = try #require(Data(base64Encoded: String(Self.good.dropFirst("v1,".count))))
    let twins = alphabet.map { Self.good.dropLast(2) + "\($0)=" }
      .filter { Data(base64Encoded: String($0.dropFirst("v1,".count))) == code }
    #expect(twins.count == 4)
    #expect(twins.filter { isAuthentic(signatures: String($0)) } == [Self.good[...]])
  }

  @Test func `only a bounded number of signatures is checked`() {
    let others = Array(repeating: Self.stranger, count: WebhookVerifier.maximumSignatures - 1)
    #expect(isAuthentic(signatures: (others + [Self.good]).joined(separator: " ")))
    #expect(!isAuthentic(signatures: (others + [Self.stranger, Self.good]).joined(separator: " ")))
  }

  @Test func `an id longer than 255 bytes is refused`() {
    for (length, expected) in [(255, true), (256, false)] {
      let id = String(repeating: "m", count: length)
      #expect(
        isAuthentic(id: id, signatures: Self.secret.signature(id: id, timestamp: Self.sentAt, body: Self.body))
          == expected)
    }
  }

  @Test func `a timestamp may be off by at most 300 seconds`() {
    for (age, expected) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] as [(Int64, Bool)] {
      #expect(isAuthentic(signatures: Self.good, now: Self.sentAt + age) == expected)
    }
  }

  /// The server's clock has values that could fit an overflowed timestamp.
  @Test(arguments: [
    "", "abc", "1614265330.0", "+1614265330", " 1614265330", "1614265330 ", "01614265330", "-5", "1e9", "0x60", "１６",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "99999999999999999999",
    String(repeating: "9", count: 5000),
  ])
  func `an invalid timestamp is refused although its signature is valid`(timestamp: String) {
    let content = Array("m.\(timestamp).".utf8) + Self.body
    let code = HMAC<SHA256>.authenticationCode(for: content, using: Self.key)
    let signatures = "v1," + Data(code).base64EncodedString()
    for now in [Self.sentAt, 0, .min, .max] as [Int64] {
      // At this clock the text is a valid timestamp.
      if timestamp == "9223372036854775807", now == .max { continue }
      #expect(!isAuthentic(id: "m", timestamp: timestamp, signatures: signatures, now: now))
    }
  }

  /// The test makes a million changes.
  @Test func `no random change of a signed event is accepted`() async {
    let accepted = await withTaskGroup(of: [String].self) { group in
      for seed in [1, 2] as [UInt64] { group.addTask { await Self.acceptedChanges(count: 500_000, seed: seed) } }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(accepted == [])
  }

  /// Changes a few bytes in one part of an event, `count` times.
  ///
  /// - Returns: the changed parts that the verifier accepted.
  private static func acceptedChanges(count: Int, seed: UInt64) async -> [String] {
    let verifier = WebhookVerifier(secrets: [secret])
    let (id, timestamp, good, body, now) = (id, String(sentAt), good, body, sentAt)
    let parts = [Array(id.utf8), Array(timestamp.utf8), Array(good.utf8), body]
    var random = SeededGenerator(state: seed)
    var accepted: [String] = []
    for round in 0..<count {
      // Other tests run on the same threads, so this loop lets them run.
      if round % 100 == 0 { await Task.yield() }
      let word = random.next()
      let part = Int(word % 4)
      var changed = parts[part]
      for _ in 0...(word >> 8) % 3 { changed.change(with: random.next()) }
      let text = part == 3 ? "" : String(decoding: changed, as: UTF8.self)
      let isAuthentic = verifier.isAuthentic(
        id: part == 0 ? text : id, timestamp: part == 1 ? text : timestamp, signatures: part == 2 ? text : good,
        body: part == 3 ? changed : body, now: now)
      // Two changes may cancel each other. An additional word beside the valid signature is harmless.
      guard isAuthentic, changed != parts[part], part != 2 || !text.split(separator: " ").contains(good[...]) else {
        continue
      }
      accepted.append("part \(part): \(String(decoding: changed, as: UTF8.self))")
    }
    return accepted
  }

  /// The last text has a key of 15 bytes.
  @Test(arguments: [
    "", "whsec_", "whsec_?", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YQ==", "whsec_AAAAAAAAAAAAAAAAAAAA",
  ])
  func `a malformed or short secret is refused`(text: String) {
    #expect(WebhookSecret(text) == nil)
  }

  @Test func `a secret with a key of 16 bytes is accepted`() {
    #expect(WebhookSecret("whsec_AAAAAAAAAAAAAAAAAAAAAA==") != nil)
  }
}
