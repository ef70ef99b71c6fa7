import Addresses
import AsyncHTTPClient
import NIOCore
import NIOSSL
import Time

/// The HTTP clients of all endpoints, one for each host and port. A client keeps its connections for the next events.
///
/// A client connects only to the address that was checked for it. With the name, it would resolve the name again:
///
///     deliverer                               DNS of the receiver
///     resolves hooks.example                  203.0.113.7, which is public
///     passes the URL to an HTTP client
///     the client resolves hooks.example       127.0.0.1
///     the client connects to 127.0.0.1
///
/// So the client's `dnsOverride` maps the name to the checked address. The name stays in the request's `Host`, in SNI and
/// in the check of the certificate.
actor EndpointClients {
  /// How long the address of a client is used before the name is resolved again. Failovers by DNS have such times.
  static let recheckInterval: Duration = .seconds(60)

  /// Clients without a delivery for this time are shut down.
  private static let longestIdleTime: Duration = .seconds(300)

  /// Node.js closes idle connections after 5 s. A request that meets the end of its connection fails.
  private static let connectionIdleTime: TimeAmount = .seconds(4)

  private static let connectTimeout: TimeAmount = .seconds(10)

  private struct Origin: Hashable {
    let isTLS: Bool
    let host: String
    let port: Int
  }

  private final class Entry {
    let client: HTTPClient
    let address: IPAddress
    var checkedAt = Moment.now
    var lastUse = Moment.now
    var uses = 0
    /// A request failed. If the host has another address, the next client uses that one.
    var hasFailed = false
    /// The entry is not in the table any more. The last user shuts it down.
    var isRetired = false

    init(_ client: HTTPClient, _ address: IPAddress) {
      self.client = client
      self.address = address
    }
  }

  private let policy: EndpointPolicy
  private let recheckInterval: Duration
  private let connectionsPerHost: Int
  private let trustRoots: [NIOSSLCertificate]
  private let group: any EventLoopGroup
  private var entries: [Origin: Entry] = [:]
  private var lookUps: [String: Task<[IPAddress], any Error>] = [:]
  private var nextSweep = Moment.now + EndpointClients.longestIdleTime

  /// - Parameters:
  ///   - group: runs the connections. It is not the group of the API, so that buyers do not wait for TLS handshakes.
  ///   - trustRoots: certificates to trust beside those of the system, for tests.
  init(
    policy: EndpointPolicy, connectionsPerHost: Int, group: any EventLoopGroup,
    recheckInterval: Duration = EndpointClients.recheckInterval, trustRoots: [NIOSSLCertificate] = []
  ) {
    self.policy = policy
    self.connectionsPerHost = connectionsPerHost
    self.group = group
    self.recheckInterval = recheckInterval
    self.trustRoots = trustRoots
  }

  /// Lends the client of an endpoint.
  ///
  /// - Throws: `EndpointRefusal` if the host has no address to which the server may connect, and what `body` throws.
  func withClient<Result: Sendable>(
    for endpoint: EndpointAddress, _ body: @Sendable (HTTPClient) async throws -> Result
  ) async throws -> Result {
    let entry = try await acquire(endpoint)
    defer { release(entry) }
    do {
      return try await body(entry.client)
    } catch {
      entry.hasFailed = true
      throw error
    }
  }

  /// Shuts all clients down. Requests that are under way fail.
  func shutDown() async {
    let clients = entries.values.map(\.client)
    entries = [:]
    for client in clients { try? await client.shutdown() }
  }

  /// The number of clients, for tests.
  var count: Int { entries.count }

  private func acquire(_ endpoint: EndpointAddress) async throws -> Entry {
    let origin = Origin(isTLS: endpoint.isTLS, host: endpoint.host, port: endpoint.port)
    sweep()
    if let entry = entries[origin], !entry.hasFailed, Moment.now < entry.checkedAt + recheckInterval {
      return used(entry)
    }
    let addresses = try await addresses(of: endpoint)
    // Another delivery may have replaced the entry during the look-up.
    let known = entries[origin]
    if let known, addresses.contains(known.address), !known.hasFailed || addresses.count == 1 {
      known.checkedAt = .now
      known.hasFailed = false
      return used(known)
    }
    var index = 0
    if let known {
      index = addresses.firstIndex(of: known.address).map { ($0 + 1) % addresses.count } ?? 0
      retire(known, origin)
    }
    let entry = Entry(client(for: endpoint, at: addresses[index]), addresses[index])
    entries[origin] = entry
    return used(entry)
  }

  private func used(_ entry: Entry) -> Entry {
    entry.uses += 1
    return entry
  }

  private func release(_ entry: Entry) {
    entry.uses -= 1
    entry.lastUse = .now
    if entry.isRetired, entry.uses == 0 { entry.client.shutdown { _ in } }
  }

  private func retire(_ entry: Entry, _ origin: Origin) {
    entries[origin] = nil
    entry.isRetired = true
    if entry.uses == 0 { entry.client.shutdown { _ in } }
  }

  private func sweep() {
    guard Moment.now >= nextSweep else { return }
    nextSweep = .now + Self.longestIdleTime
    for (origin, entry) in entries where entry.uses == 0 && entry.lastUse + Self.longestIdleTime <= .now {
      retire(entry, origin)
    }
  }

  /// Deliveries to one host share a look-up.
  private func addresses(of endpoint: EndpointAddress) async throws -> [IPAddress] {
    if let lookUp = lookUps[endpoint.host] { return try await lookUp.value }
    let lookUp = Task { [policy] in try await policy.addresses(of: endpoint) }
    lookUps[endpoint.host] = lookUp
    defer { lookUps[endpoint.host] = nil }
    return try await lookUp.value
  }

  private func client(for endpoint: EndpointAddress, at address: IPAddress) -> HTTPClient {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv12
    if !trustRoots.isEmpty { tls.additionalTrustRoots = [.certificates(trustRoots)] }
    var configuration = HTTPClient.Configuration()
    configuration.tlsConfiguration = tls
    if endpoint.literal == nil { configuration.dnsOverride = [endpoint.host: address.text] }
    // A redirect leads to an address that nobody checked.
    configuration.redirectConfiguration = .disallow
    configuration.httpVersion = .http1Only
    configuration.timeout.connect = Self.connectTimeout
    configuration.connectionPool.idleTimeout = Self.connectionIdleTime
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHost
    // SQL plans the next attempt.
    configuration.connectionPool.retryConnectionEstablishment = false
    // The receiver must not see the ids of the server's traces.
    configuration.tracing.tracer = nil
    // The last check, on the connection itself, before anything is sent on it.
    configuration.http1_1ConnectionDebugInitializer = { channel in
      if channel.remoteAddress.flatMap({ IPAddress($0) }) == address {
        return channel.eventLoop.makeSucceededVoidFuture()
      }
      channel.close(promise: nil)
      return channel.eventLoop.makeFailedFuture(EndpointRefusal.notPublic)
    }
    return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
  }
}
