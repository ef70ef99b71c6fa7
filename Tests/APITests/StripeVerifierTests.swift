import FoundationEssentials
import TestSupport
import Testing

@testable import API

@Suite struct StripeVerifierTests {
  private static let secret = StripeSecret("whsec_0123456789abcdefghijklmnop")!
  private static let rotated = StripeSecret("whsec_abcdefghijklmnop0123456789")!
  private static let body = Array(#"{"id":"evt_1"}"#.utf8)
  private static let sentAt: Int64 = 1_614_265_330
  private static let good = secret.header(timestamp: sentAt, body: body)
  private static let byRotated = rotated.header(timestamp: sentAt, body: body)
  private static let stranger = StripeSecret("whsec_ponmlkjihgfedcba9876543210")!.header(timestamp: sentAt, body: body)

  private static let time = "t=\(sentAt)"
  /// The entry of a header with its signature.
  private static func code(of header: String) -> String { String(header.split(separator: ",")[1]) }

  private func refusal(
    _ signature: String?, secrets: [StripeSecret] = [secret, rotated], body: [UInt8] = body, now: Int64 = sentAt
  ) -> StripeVerifier.Refusal? {
    StripeVerifier(secrets: secrets).refusal(signature: signature, body: body, now: now)
  }

  /// The digits were computed with Python's hmac, as Stripe's library for Python does.
  @Test func `a signature equals that of Stripe's library`() {
    let digits = "64147bc2c6aed7bd4c89c650e3b6a6063ca4e59431c998242c05f1af05adc1c1"
    #expect(Self.good == "t=1614265330,v1=\(digits)")
    #expect(refusal(Self.good) == nil)
  }

  @Test func `a refusal names its reason`() {
    for empty in [nil, ""] as [String?] { #expect(refusal(empty) == .headerMissing) }
    #expect(refusal(Self.code(of: Self.good)) == .timestampInvalid)
    #expect(refusal(Self.good, now: Self.sentAt + 412) == .timestampOff(seconds: 412))
    #expect(refusal(Self.good, now: Self.sentAt - 412) == .timestampOff(seconds: -412))
    #expect(refusal(Self.stranger) == .noSignatureFits)
    #expect(refusal(Self.time) == .noSignatureFits)
    #expect(StripeVerifier.Refusal.timestampOff(seconds: 412).detail.contains("412 s behind this server's clock"))
    #expect(StripeVerifier.Refusal.headerMissing.detail.contains("Stripe-Signature"))
  }

  /// Both schemes log at most once in ten seconds for each word.
  @Test func `the words of refusals differ from those of Standard Webhooks`() {
    let ours: [StripeVerifier.Refusal] = [
      .headerMissing, .timestampInvalid, .timestampOff(seconds: 1), .noSignatureFits,
    ]
    let others: [WebhookVerifier.Refusal] = [
      .headerMissing(name: ""), .idTooLong, .timestampInvalid, .timestampOff(seconds: 1), .noSignatureFits,
    ]
    #expect(Set(ours.map(\.reason)).isDisjoint(with: others.map(\.reason)))
  }

  @Test func `one valid signature by any configured secret is enough`() {
    let codes = [Self.good, Self.byRotated, Self.stranger].map(Self.code)
    for entries in [
      [Self.time, codes[0]], [codes[1], Self.time], [Self.time, codes[2], codes[0]], [Self.time, codes[0], codes[2]],
      [Self.time, "v1=00", codes[1], "v0=\(codes[2])", "v2=x", ""],
    ] {
      #expect(refusal(entries.joined(separator: ",")) == nil, "\(entries)")
    }
    #expect(refusal(Self.good, secrets: [Self.rotated]) == .noSignatureFits)
    #expect(refusal(Self.byRotated, secrets: [Self.rotated]) == nil)
  }

  @Test func `a changed body or a malformed header is refused`() {
    for text in [#"{"id":"evt_2"}"#, #"{"id":"evt_1"} "#, #"{"id":"evt_1""#, ""] {
      #expect(refusal(Self.good, body: Array(text.utf8)) == .noSignatureFits)
    }
    let code = Self.code(of: Self.good)
    for header in [
      " \(Self.good)", "t=1614265331,\(code)", "\(Self.time),\(code.uppercased())", "\(Self.time), \(code)",
      "\(Self.time),v1=\(code.dropFirst(3).uppercased())", "\(Self.time),\(code)0", "\(Self.time),\(code.dropLast())",
      "\(Self.time),v1 =\(code.dropFirst(3))", "\(Self.time);\(code)", "\(Self.time),v0=\(code.dropFirst(3))",
      "\(Self.time),\(Self.time),\(code)", "t=1,\(Self.good)", String(Self.good.reversed()),
    ] {
      #expect(refusal(header) != nil, "\(header)")
    }
  }

  @Test func `only a bounded number of signatures is compared`() {
    let strangers = Array(repeating: Self.code(of: Self.stranger), count: StripeVerifier.maximumSignatures - 1)
    func header(_ more: [String]) -> String {
      ([Self.time] + strangers + more + [Self.code(of: Self.good)]).joined(separator: ",")
    }
    #expect(refusal(header([])) == nil)
    #expect(refusal(header(["v0=x"])) == nil)
    #expect(refusal(header([Self.code(of: Self.stranger)])) == .noSignatureFits)
  }

  @Test func `a timestamp may be off by at most 300 seconds`() {
    for (age, isAccepted) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] as [(Int64, Bool)] {
      #expect((refusal(Self.good, now: Self.sentAt + age) == nil) == isAccepted)
    }
    for timestamp in ["", "x", "1614265330.0", "+1614265330", "01614265330", "-5", "9223372036854775808"] {
      #expect(refusal("t=\(timestamp),\(Self.code(of: Self.good))") == .timestampInvalid)
    }
    #expect(refusal("t=9223372036854775807,v1=00", now: .min) == .timestampOff(seconds: .min))
  }

  /// The test makes a million changes, in the timestamp, in the whole header and in the body.
  @Test func `no random change of a signed event is accepted`() async {
    let accepted = await withTaskGroup(of: [String].self) { group in
      for seed in [1, 2] as [UInt64] { group.addTask { await Self.acceptedChanges(count: 500_000, seed: seed) } }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(accepted == [])
  }

  private static func acceptedChanges(count: Int, seed: UInt64) async -> [String] {
    let verifier = StripeVerifier(secrets: [secret])
    let (good, body, now) = (good, body, sentAt)
    let entries = good.split(separator: ",").map(String.init)
    let parts = [Array(String(sentAt).utf8), Array(good.utf8), body]
    var random = SeededGenerator(state: seed)
    var accepted: [String] = []
    for round in 0..<count {
      // Other tests run on the same threads, so this loop lets them run.
      if round % 100 == 0 { await Task.yield() }
      let word = random.next()
      let part = Int(word % 3)
      var changed = parts[part]
      for _ in 0...(word >> 8) % 3 { changed.change(with: random.next()) }
      let text = String(decoding: changed, as: UTF8.self)
      let header = part == 0 ? "t=\(text),\(entries[1])" : part == 1 ? text : good
      let refusal = verifier.refusal(signature: header, body: part == 2 ? changed : body, now: now)
      // Two changes may cancel each other. Another entry beside the two of the header is harmless.
      guard refusal == nil, changed != parts[part] else { continue }
      let others = header.split(separator: ",").map(String.init)
      if part != 2, entries.allSatisfy({ others.contains($0) }) { continue }
      accepted.append("part \(part): \(text)")
    }
    return accepted
  }

  @Test func `a secret is whsec_ and at least 16 visible characters`() {
    for text in ["whsec_0123456789abcdef", "whsec_/+=~0123456789abcdef"] { #expect(StripeSecret(text) != nil) }
    for text in [
      "", "whsec_", "whsec_0123456789abcde", "0123456789abcdef0123456789", "sk_test_0123456789abcdef",
      "whsec_0123456789 abcdef", "whsec_0123456789abcdéf",
    ] {
      #expect(StripeSecret(text) == nil, "\(text)")
    }
    #expect("\(Self.secret)" == "***")
  }
}
