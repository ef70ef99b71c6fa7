import AsyncHTTPClient
import Checkout
import FoundationEssentials
import NIOCore
import StandardWebhooks
import Telemetry
import Time

/// Sends one event to one endpoint.
struct DeliverySender: Sendable {
  struct Limits: Sendable {
    /// The longest time of a delivery, from the look-up of the name to the response's head. It is less than the lease.
    var time: Duration = .seconds(15)
    /// The longest time in which the rest of a response may arrive.
    var bodyTime: Duration = .seconds(1)
    /// The most bytes of a response's body that are read.
    var bodyBytes = 16 * 1024
  }

  /// What became of a delivery.
  struct Attempt: Sendable {
    let result: DeliveryResult
    /// The word in metrics.
    let outcome: Outcome
  }

  /// How a delivery ended.
  enum Outcome: Equatable, Sendable {
    case delivered
    /// The endpoint responded with another status than 2xx.
    case refused
    case failed(DeliveryFailure.Reason)

    var word: String {
      switch self {
      case .delivered: "delivered"
      case .refused: "refused"
      case .failed(let reason): reason.rawValue
      }
    }

    static let words = ["delivered", "refused"] + DeliveryFailure.Reason.allCases.map(\.rawValue)
  }

  static let userAgent = "flashsale/\(BuildInfo.version)"

  let clients: EndpointClients
  let allowsHTTP: Bool
  var limits = Limits()

  /// Sends a delivery once, and waits for the response.
  ///
  /// - Returns: nil if the task was cancelled before there was a response. It is not known whether the endpoint received
  ///   the event. The lease ends, and the event is sent again.
  func send(_ delivery: Delivery) async -> Attempt? {
    do {
      guard let response = try await within(limits.time, { try await exchange(delivery) }) else {
        return Task.isCancelled ? nil : failed(delivery, .timedOut)
      }
      let isDelivered = 200...299 ~= response.status
      return Attempt(
        result: DeliveryResult(
          of: delivery, statusCode: Int32(response.status),
          retryAfter: isDelivered
            ? nil : Duration(retryAfter: response.retryAfter, now: Int64(Date().timeIntervalSince1970))),
        outcome: isDelivered ? .delivered : .refused)
    } catch {
      return Task.isCancelled ? nil : failed(delivery, error as? DeliveryFailure ?? DeliveryFailure(error))
    }
  }

  private func failed(_ delivery: Delivery, _ failure: DeliveryFailure) -> Attempt {
    Attempt(
      result: DeliveryResult(of: delivery, statusCode: nil, error: failure.words), outcome: .failed(failure.reason))
  }

  private struct Response: Sendable {
    let status: UInt
    let retryAfter: String?
  }

  private func exchange(_ delivery: Delivery) async throws -> Response {
    let secrets = delivery.secrets.compactMap { WebhookSecret($0.revealed()) }
    guard !secrets.isEmpty else { throw DeliveryFailure.invalidSecret }
    // The setting may have changed since the endpoint was made.
    let endpoint = try EndpointAddress(delivery.url, allowsHTTP: allowsHTTP)
    // The same bytes are signed and sent.
    let body = Array(delivery.body.utf8)
    var request = HTTPClientRequest(url: endpoint.url)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.headers.add(name: "user-agent", value: Self.userAgent)
    let timestamp = Int64(Date().timeIntervalSince1970)
    for field in WebhookSigner(secrets).headers(id: delivery.id, timestamp: timestamp, body: body) {
      request.headers.add(name: field.name, value: field.value)
    }
    request.body = .bytes(ByteBuffer(bytes: body))
    return try await clients.withClient(for: endpoint) { [request] client in
      let response = try await client.execute(request, timeout: TimeAmount(limits.time))
      await discard(response.body)
      return Response(status: response.status.code, retryAfter: response.headers.first(name: "retry-after"))
    }
  }

  /// Reads the rest of a response, so that its connection can be used again.
  ///
  /// The status alone decides. So a body that is long, or that never ends, costs only the connection: the client closes
  /// it when nobody reads on.
  private func discard(_ body: HTTPClientResponse.Body) async {
    _ = try? await within(limits.bodyTime) {
      var left = limits.bodyBytes
      for try await part in body {
        left -= part.readableBytes
        if left < 0 { return }
      }
    }
  }
}

/// Runs `body`, and cancels it after `limit`.
///
/// - Returns: nil after the limit. Waits until the cancelled body has returned.
/// - Throws: what `body` throws before the limit.
private func within<Result: Sendable>(
  _ limit: Duration, _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result? {
  try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try? await Task.sleep(for: limit)
      return nil
    }
    defer { group.cancelAll() }
    return try await group.next() ?? nil
  }
}
