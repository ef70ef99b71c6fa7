import Checkout
import Crypto
import Foundation
import NIOPosix
import Secrets
import Synchronization
import TestSupport
import Testing
import Time

@testable import EventWebhooks

/// Each test has a receiver on loopback.
@Suite struct DeliverySenderTests {
  private static func withSender(
    allowsPrivate: Bool = true, limits: DeliverySender.Limits = .init(),
    _ body: (DeliverySender) async throws -> Void
  ) async throws {
    let policy = EndpointPolicy(allowsPrivate: allowsPrivate)
    let clients = EndpointClients(policy: policy, connectionsPerHost: 16, group: MultiThreadedEventLoopGroup.singleton)
    do {
      try await body(DeliverySender(clients: clients, allowsHTTP: allowsPrivate, limits: limits))
    } catch {
      await clients.shutDown()
      throw error
    }
    await clients.shutDown()
  }

  @Test func `the receiver gets the event, signed with each secret`() async throws {
    let secrets = [Delivery.testSecret, "whsec_Zmxhc2hzYWxlLXRyeS1pdC1sb2NhbGx5LW9ubHkhISE="]
    try await WebhookReceiver.with { receiver in
      try await Self.withSender { sender in
        let delivery = Delivery.test(
          to: receiver.url(path: "/hooks?shop=1"), secrets: secrets, data: #"{"name":"caf\u00e9 \u2615"}"#)
        let start = Int64(Date().timeIntervalSince1970)
        let attempt = try #require(await sender.send(delivery))
        #expect(attempt.outcome == .delivered && attempt.result.statusCode == 204 && attempt.result.error == nil)
        #expect(attempt.result.eventID == delivery.eventID && attempt.result.endpointID == delivery.endpointID)
        let request = try #require(receiver.requests.only)
        #expect(request.method == "POST" && request.path == "/hooks?shop=1")
        #expect(request.body == Data(delivery.body.utf8))
        #expect(request.headers["host"] == "127.0.0.1:\(receiver.port)")
        #expect(request.headers["content-type"] == "application/json")
        #expect(request.headers["user-agent"]?.hasPrefix("flashsale/") == true)
        #expect(request.headers["webhook-id"]?.wholeMatch(of: /evt_[0-9a-f]{32}/) != nil)
        #expect(request.headers["webhook-id"] == delivery.id)
        let timestamp = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
        #expect(start...start + 60 ~= timestamp)
        #expect(
          request.headers["webhook-signature"]
            == secrets.map { Self.signature(of: request, by: $0) }.joined(separator: " "))
      }
    }
  }

  /// The signature as the specification computes it, without the code under test.
  private static func signature(of request: WebhookReceiver.Request, by text: String) -> String {
    let key = SymmetricKey(data: Data(base64Encoded: String(text.dropFirst("whsec_".count)))!)
    let prefix = "\(request.headers["webhook-id"]!).\(request.headers["webhook-timestamp"]!)."
    return "v1,"
      + Data(HMAC<SHA256>.authenticationCode(for: Data(prefix.utf8) + request.body, using: key))
      .base64EncodedString()
  }

  @Test(arguments: [300, 301, 307, 400, 404, 410, 429, 500, 503] as [UInt])
  func `a status other than 2xx is a refusal, and a redirect is not followed`(status: UInt) async throws {
    try await WebhookReceiver.with(reply: { _ in .status(status, headers: [("location", "/elsewhere")]) }) { receiver in
      try await Self.withSender { sender in
        let attempt = try #require(await sender.send(.test(to: receiver.url())))
        #expect(attempt.outcome == .refused && attempt.result.statusCode == Int32(status))
        #expect(attempt.result.error == nil && attempt.result.retryAfter == nil)
        #expect(receiver.requests.map(\.path) == ["/hooks"])
      }
    }
  }

  @Test func `Retry-After of a refusal is passed on`() async throws {
    try await WebhookReceiver.with(reply: { _ in .status(503, headers: [("Retry-After", "120")]) }) { receiver in
      try await Self.withSender { sender in
        let attempt = try #require(await sender.send(.test(to: receiver.url())))
        #expect(attempt.result.retryAfter == .seconds(120))
      }
    }
  }

  @Test func `deliveries to one endpoint use one connection again`() async throws {
    try await WebhookReceiver.with { receiver in
      try await Self.withSender { sender in
        for _ in 0..<20 { _ = await sender.send(.test(to: receiver.url())) }
        #expect(receiver.requests.count == 20 && receiver.connectionCount == 1)
      }
    }
  }

  @Test func `a long or endless response costs neither memory nor time`() async throws {
    let limits = DeliverySender.Limits(time: .seconds(60), bodyTime: .seconds(60), bodyBytes: 16_384)
    for reply in [WebhookReceiver.Reply.long(bytes: 100 << 20), .endless] {
      try await WebhookReceiver.with(reply: { _ in reply }) { receiver in
        try await Self.withSender(limits: limits) { sender in
          let start = Moment.now
          let attempt = try #require(await sender.send(.test(to: receiver.url())))
          #expect(attempt.outcome == .delivered && attempt.result.statusCode == 200)
          #expect(start.duration(to: .now) < .seconds(30))
          // The rest is in the buffers of the sockets. The receiver cannot write more.
          #expect(receiver.sentBytes < 64 << 20, "\(receiver.sentBytes)")
        }
      }
    }
  }

  /// The status is known, so only the connection is lost.
  @Test func `a response whose body stops counts as delivered`() async throws {
    let limits = DeliverySender.Limits(time: .seconds(60), bodyTime: .milliseconds(50), bodyBytes: 1 << 50)
    try await WebhookReceiver.with(reply: { _ in .unfinished }) { receiver in
      try await Self.withSender(limits: limits) { sender in
        #expect(await sender.send(.test(to: receiver.url()))?.outcome == .delivered)
      }
    }
  }

  @Test func `a receiver that does not respond times out`() async throws {
    let limits = DeliverySender.Limits(time: .milliseconds(100))
    try await WebhookReceiver.with(reply: { _ in .silence }) { receiver in
      try await Self.withSender(limits: limits) { sender in
        let attempt = try #require(await sender.send(.test(to: receiver.url())))
        #expect(attempt.outcome == .failed(.timedOut) && attempt.result.error == "timed out")
        #expect(attempt.result.statusCode == nil)
      }
    }
  }

  @Test func `a connection that is closed without a response is told`() async throws {
    try await WebhookReceiver.with(reply: { _ in .hangUp }) { receiver in
      try await Self.withSender { sender in
        let attempt = try #require(await sender.send(.test(to: receiver.url())))
        #expect(attempt.outcome == .failed(.unreachable))
        #expect(attempt.result.error == "connection was closed without a response")
      }
    }
  }

  @Test func `a refused connection is told, without the URL`() async throws {
    let closed = Mutex("")
    try await WebhookReceiver.with { receiver in closed.withLock { $0 = receiver.url(path: "/the-secret-path") } }
    try await Self.withSender { sender in
      let attempt = try #require(await sender.send(.test(to: closed.withLock { $0 })))
      #expect(attempt.outcome == .failed(.unreachable) && attempt.result.error == "connection refused")
    }
  }

  @Test func `nothing is sent to a private address, and not by http`() async throws {
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(allowsPrivate: false) { sender in
        for (url, error) in [
          (receiver.url(), "must begin with https://"),
          ("https://127.0.0.1:\(receiver.port)/", "address is not public"),
          ("https://localhost:\(receiver.port)/", "address is not public"),
          ("https://[::ffff:127.0.0.1]:\(receiver.port)/", "address is not public"),
        ] {
          let attempt = try #require(await sender.send(.test(to: url)))
          #expect(attempt.outcome == .failed(.refusedAddress) && attempt.result.error == error, "\(url)")
        }
        #expect(receiver.connectionCount == 0)
      }
    }
  }

  @Test func `a delivery without a valid secret is not sent`() async throws {
    try await WebhookReceiver.with { receiver in
      try await Self.withSender { sender in
        let attempt = try #require(await sender.send(.test(to: receiver.url(), secrets: ["whsec_?"])))
        #expect(attempt.result.error == "the secret is not valid" && receiver.connectionCount == 0)
      }
    }
  }

  @Test func `a cancelled delivery has no result`() async throws {
    try await WebhookReceiver.with(reply: { _ in .silence }) { receiver in
      try await Self.withSender { sender in
        let sending = Task { await sender.send(.test(to: receiver.url())) }
        try await until("the request has come") { receiver.requests.count == 1 }
        sending.cancel()
        #expect(await sending.value?.outcome == nil)
      }
    }
  }
}

extension Collection {
  /// The only element. Nil for none and for several.
  var only: Element? { count == 1 ? first : nil }
}
