import Crypto
import Foundation
import StandardWebhooks
import Testing

@Suite struct WebhookSignerTests {
  private static let texts = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_Zmxhc2hzYWxlLXRyeS1pdC1sb2NhbGx5LW9ubHkhISE=",
  ]
  private static let body = Data(#"{"test": 2432232314}"#.utf8)

  /// The signature as the specification computes it, without the code under test.
  private static func signature(by text: String, id: String, timestamp: Int64) -> String {
    let key = SymmetricKey(data: Data(base64Encoded: String(text.dropFirst("whsec_".count)))!)
    let code = HMAC<SHA256>.authenticationCode(for: Data("\(id).\(timestamp).".utf8) + body, using: key)
    return "v1," + Data(code).base64EncodedString()
  }

  @Test(arguments: [1, 2])
  func `a message is signed with each secret, in their order`(count: Int) {
    let signer = WebhookSigner(Self.texts.prefix(count).map { WebhookSecret($0)! })
    let headers = signer.headers(id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Self.body)
    let expected = Self.texts.prefix(count).map {
      Self.signature(by: $0, id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330)
    }
    #expect(headers.map(\.name) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
    #expect(headers.map(\.value) == ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", expected.joined(separator: " ")])
  }

  @Test func `a signer prints no secret`() {
    let signer = WebhookSigner([WebhookSecret(Self.texts[0])!])
    #expect("\(signer)" == "***" && String(reflecting: signer) == "***")
  }
}
