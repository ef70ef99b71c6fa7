import Checkout
import Foundation
import NIOPosix
import NIOSSL
import TestSupport
import Testing
import Time

@testable import EventWebhooks

/// To which addresses clients connect, and whose certificates they accept.
@Suite struct EndpointClientsTests {
  private static let name = "hooks.example"

  /// Sends deliveries with a resolver and an authority of the test.
  private static func withSender(
    _ resolver: FixedResolver, allowsPrivate: Bool = true, recheckInterval: Duration = .zero,
    trustRoots: [NIOSSLCertificate] = [], _ body: (DeliverySender, EndpointClients) async throws -> Void
  ) async throws {
    let clients = EndpointClients(
      policy: EndpointPolicy(allowsPrivate: allowsPrivate, resolver: resolver), connectionsPerHost: 16,
      group: MultiThreadedEventLoopGroup.singleton, recheckInterval: recheckInterval, trustRoots: trustRoots)
    do {
      try await body(DeliverySender(clients: clients, allowsHTTP: allowsPrivate), clients)
    } catch {
      await clients.shutDown()
      throw error
    }
    await clients.shutDown()
  }

  @Test func `the client connects to the checked address, and keeps the name in Host`() async throws {
    let resolver = FixedResolver([Self.name: [["127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(resolver, recheckInterval: .seconds(60)) { sender, clients in
        for _ in 0..<3 {
          #expect(await sender.send(.test(to: receiver.url(host: Self.name)))?.outcome == .delivered)
        }
        #expect(receiver.requests.allSatisfy { $0.headers["host"] == "\(Self.name):\(receiver.port)" })
        #expect(receiver.requests.count == 3 && resolver.lookUps == 1)
        #expect(await clients.count == 1)
      }
    }
  }

  /// DNS rebinding: the name was public when the endpoint was made.
  @Test func `a name that gets a private address later is refused`() async throws {
    let resolver = FixedResolver([Self.name: [["198.41.0.4"], ["127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      let policy = EndpointPolicy(allowsPrivate: false, resolver: resolver)
      let url = "https://\(Self.name):\(receiver.port)/"
      #expect(await policy.problem(with: url) == nil)
      try await Self.withSender(resolver, allowsPrivate: false) { sender, _ in
        let attempt = try #require(await sender.send(.test(to: url)))
        #expect(attempt.outcome == .failed(.refusedAddress) && attempt.result.error == "address is not public")
        #expect(receiver.connectionCount == 0)
      }
    }
  }

  /// The client is the last place that could resolve the name by itself. `.invalid` names never resolve.
  @Test func `the client does not resolve the name again`() async throws {
    let name = "hooks.invalid"
    let resolver = FixedResolver([name: [["127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(resolver, recheckInterval: .seconds(60)) { sender, _ in
        #expect(await sender.send(.test(to: receiver.url(host: name)))?.outcome == .delivered)
      }
    }
  }

  @Test func `a new address gets a new client, and the old one is shut down`() async throws {
    let resolver = FixedResolver([Self.name: [["127.0.0.2"], ["127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(resolver) { sender, clients in
        // Nothing listens on the first address.
        #expect(await sender.send(.test(to: receiver.url(host: Self.name)))?.result.error == "connection refused")
        #expect(await sender.send(.test(to: receiver.url(host: Self.name)))?.outcome == .delivered)
        #expect(await clients.count == 1)
      }
    }
  }

  @Test func `after a failure the next address of a name is tried`() async throws {
    let resolver = FixedResolver([Self.name: [["127.0.0.2", "127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(resolver, recheckInterval: .seconds(60)) { sender, _ in
        #expect(await sender.send(.test(to: receiver.url(host: Self.name)))?.result.error == "connection refused")
        for _ in 0..<2 {
          #expect(await sender.send(.test(to: receiver.url(host: Self.name)))?.outcome == .delivered)
        }
      }
    }
  }

  @Test func `deliveries at the same time share a look-up`() async throws {
    let resolver = FixedResolver([Self.name: [["127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(resolver, recheckInterval: .seconds(60)) { sender, _ in
        await withDiscardingTaskGroup { group in
          for _ in 0..<10 {
            group.addTask { _ = await sender.send(.test(to: receiver.url(host: Self.name))) }
          }
        }
        #expect(receiver.requests.count == 10 && resolver.lookUps <= 2)
      }
    }
  }

  @Test func `an unknown name is told`() async throws {
    try await Self.withSender(FixedResolver([:])) { sender, _ in
      let attempt = await sender.send(.test(to: "https://\(Self.name)/"))
      #expect(attempt?.result.error == "name is unknown")
    }
  }

  // MARK: Certificates

  @Test func `a certificate for the name is accepted although the client connects to an address`() async throws {
    let certificates = try await TestCertificates(serverName: Self.name)
    let resolver = FixedResolver([Self.name: [["127.0.0.1"]]])
    try await WebhookReceiver.with(tls: certificates.server) { receiver in
      try await Self.withSender(resolver, trustRoots: [certificates.authority]) { sender, _ in
        let attempt = await sender.send(.test(to: receiver.url(host: Self.name)))
        #expect(attempt?.outcome == .delivered, "\(attempt?.result.error ?? "")")
        #expect(receiver.requests.count == 1)
      }
    }
  }

  @Test func `a certificate of an unknown authority is refused`() async throws {
    let certificates = try await TestCertificates(serverName: Self.name)
    let resolver = FixedResolver([Self.name: [["127.0.0.1"]]])
    try await WebhookReceiver.with(tls: certificates.server) { receiver in
      try await Self.withSender(resolver) { sender, _ in
        let attempt = await sender.send(.test(to: receiver.url(host: Self.name)))
        #expect(attempt?.outcome == .failed(.tls) && attempt?.result.error == "certificate is not valid")
        #expect(receiver.requests.isEmpty)
      }
    }
  }

  @Test func `a certificate for another name is refused`() async throws {
    let certificates = try await TestCertificates(serverName: "other.example")
    let resolver = FixedResolver([Self.name: [["127.0.0.1"]]])
    try await WebhookReceiver.with(tls: certificates.server) { receiver in
      try await Self.withSender(resolver, trustRoots: [certificates.authority]) { sender, _ in
        let attempt = await sender.send(.test(to: receiver.url(host: Self.name)))
        #expect(attempt?.outcome == .failed(.tls) && attempt?.result.error == "certificate is for another name")
        #expect(receiver.requests.isEmpty)
      }
    }
  }

  @Test func `a receiver without TLS behind an https URL is told`() async throws {
    let resolver = FixedResolver([Self.name: [["127.0.0.1"]]])
    try await WebhookReceiver.with { receiver in
      try await Self.withSender(resolver) { sender, _ in
        let attempt = await sender.send(.test(to: "https://\(Self.name):\(receiver.port)/"))
        #expect(attempt?.result.statusCode == nil && attempt?.outcome != .delivered)
      }
    }
  }
}
