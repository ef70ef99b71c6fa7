import AsyncHTTPClient
import Checkout
import Foundation
import NIOCore
import Secrets
import Telemetry

/// Reads the events of a server from its feed, `GET /api/admin/events`.
struct EventFeedReader: Sendable {
  /// An event as the server sends it to endpoints.
  struct Event: Sendable {
    let id: String
    let type: String
    /// JSON.
    let body: Data
  }

  private struct Page: Sendable {
    let events: [Event]
    let next: String?
  }

  /// The pause after a page without events, and after an error.
  private static let pause: Duration = .milliseconds(500)

  private static let maximumPageBytes = 1 << 24

  private static let feedPath = "/api/admin/event-feed"

  let client: HTTPClient
  /// The base URL of the API.
  let url: String
  let token: Secret

  /// Turns the feed on, if it is off.
  ///
  /// - Parameter types: such as `order.*`.
  func turnOn(for types: [String]) async throws {
    guard try await patterns().isEmpty else { return }
    _ = try await answer("PUT", Self.feedPath, body: JSONSerialization.data(withJSONObject: ["events": types]))
  }

  /// Those of some types that the feed does not record. The server has events of these types only if an endpoint wants them.
  func unrecorded(of types: Set<String>) async throws -> [String] {
    let recorded = try await patterns().compactMap { EventPattern(text: $0) }.flatMap(\.types).map(\.rawValue)
    return types.subtracting(recorded).sorted()
  }

  private func patterns() async throws -> [String] {
    let feed = try JSONSerialization.jsonObject(with: await answer("GET", Self.feedPath)) as? [String: Any]
    return feed?["events"] as? [String] ?? []
  }

  /// The position after the newest event.
  func end() async throws -> String? {
    var cursor: String?
    while true {
      let page = try await self.page(from: cursor)
      cursor = page.next ?? cursor
      if page.events.isEmpty { return cursor }
    }
  }

  /// Calls `body` with each event after a position, until the task is cancelled. While the server is away, it waits.
  ///
  /// - Throws: `Failure` if the server refuses the request.
  func follow(from start: String?, _ body: (Event) async -> Void) async throws {
    var cursor = start
    var isAway = false
    while !Task.isCancelled {
      do {
        let page = try await self.page(from: cursor)
        if isAway { print("The server is back.") }
        isAway = false
        for event in page.events { await body(event) }
        cursor = page.next ?? cursor
        if !page.events.isEmpty { continue }
      } catch let error as Trouble {
        if !isAway, !Task.isCancelled { print("Waiting for the server: \(error.description.escapedForTerminal)") }
        isAway = true
      }
      try? await Task.sleep(for: Self.pause)
    }
  }

  /// An error that may pass.
  private struct Trouble: Error, CustomStringConvertible {
    let description: String
  }

  private func page(from cursor: String?) async throws -> Page {
    var path = "/api/admin/events"
    // Cursors have digits and a hyphen, so they need no escapes.
    if let cursor { path += "?cursor=\(cursor)" }
    let text = try await answer("GET", path)
    guard let page = try JSONSerialization.jsonObject(with: text) as? [String: Any],
      let events = page["events"] as? [[String: Any]]
    else { throw Failure("\(url) has no events; check --url") }
    return Page(
      events: try events.map { event in
        Event(
          id: event["id"] as? String ?? "", type: event["type"] as? String ?? "",
          body: try JSONSerialization.data(withJSONObject: event, options: [.sortedKeys, .withoutEscapingSlashes]))
      },
      next: page["next_cursor"] as? String)
  }

  private func answer(_ method: String, _ path: String, body: Data? = nil) async throws -> Data {
    var request = HTTPClientRequest(url: url + path)
    request.method = .init(rawValue: method)
    request.headers.add(name: "authorization", value: "Bearer \(token.revealed())")
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: body))
    }
    let (status, text) = try await send(request)
    let answer = "\(method) \(path): \(status) \(String(decoding: text.prefix(500), as: UTF8.self))"
    switch status {
    case 200...299: return text
    case 409:
      throw Failure("the server's feed is off; pass --turn-on to turn it on, with a key of the scope admin")
    case 300...499 where status != 429: throw Failure(answer)
    default: throw Trouble(description: answer)
    }
  }

  private func send(_ request: HTTPClientRequest) async throws -> (status: UInt, text: Data) {
    do {
      let response = try await client.execute(request, timeout: .seconds(30))
      let text = try await response.body.collect(upTo: Self.maximumPageBytes)
      return (response.status.code, Data(text.readableBytesView))
    } catch {
      throw Trouble(description: "cannot reach \(url): \(error)")
    }
  }
}
