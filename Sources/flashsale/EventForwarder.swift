import AsyncHTTPClient
import Foundation
import NIOCore
import StandardWebhooks
import Telemetry

/// Sends events to a program on this machine, as a server sends them to an endpoint, and prints a line for each.
struct EventForwarder: Sendable {
  /// The pauses between attempts. They are short, because a developer waits.
  private static let pauses: [Duration] = [.milliseconds(500), .seconds(1), .seconds(2), .seconds(4)]

  /// As the server's.
  private static let timeout: TimeAmount = .seconds(15)

  private static let maximumResponseBytes = 1 << 20

  let client: HTTPClient
  let url: String
  let signer: WebhookSigner

  /// Sends an event until it is accepted, at most five times.
  func forward(_ event: EventFeedReader.Event) async {
    for pause in Self.pauses.map(Optional.some) + [nil] {
      let result: String
      do {
        let status = try await send(event)
        if 200...299 ~= status { return tell(event, "\(status)") }
        result = "\(status)"
      } catch {
        result = "\(error)"
      }
      guard let pause, !Task.isCancelled else { return tell(event, "\(result); given up") }
      tell(event, "\(result); again in \(pause / .seconds(1)) s")
      try? await Task.sleep(for: pause)
    }
  }

  private func tell(_ event: EventFeedReader.Event, _ result: String) {
    print("\(event.type.escapedForTerminal)  \(event.id.escapedForTerminal)  \(result.escapedForTerminal)")
  }

  private func send(_ event: EventFeedReader.Event) async throws -> UInt {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.headers.add(name: "user-agent", value: "flashsale/\(BuildInfo.version)")
    let now = Int64(Date().timeIntervalSince1970)
    for field in signer.headers(id: event.id, timestamp: now, body: event.body) {
      request.headers.add(name: field.name, value: field.value)
    }
    request.body = .bytes(ByteBuffer(bytes: event.body))
    let response = try await client.execute(request, timeout: Self.timeout)
    _ = try? await response.body.collect(upTo: Self.maximumResponseBytes)
    return response.status.code
  }
}
