import AsyncHTTPClient
import Foundation
import NIOCore
import Synchronization
import Time

/// Reads a product's stream, or a stream of ticks, and records its events.
package final class EventReader: Sendable {
  /// One event of the stream.
  package struct Event: Sendable {
    /// The product's JSON, as received.
    package let data: String
    package let availableStock: Int
    package let arrival: Moment
  }

  /// An event of another type than `stock`.
  package struct OtherEvent: Sendable {
    package let type: String
    package let data: String
    package let arrival: Moment
  }

  package enum End: Sendable {
    /// The server ended the stream.
    case complete
    /// The connection broke.
    case broken
  }

  private struct State {
    var events: [Event] = []
    var others: [OtherEvent] = []
    var heartbeats = 0
    var end: End?
  }

  /// Shared by all readers, and never shut down.
  private static let http: HTTPClient = {
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 400
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.timeout.read = nil
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  package let status: UInt
  package let headers: [String: String]
  /// The body of a response that is no stream.
  package let body: String
  private let state = Mutex(State())
  private let reading = Mutex<Task<Void, Never>?>(nil)

  private init(status: UInt, headers: [String: String], body: String) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// Requests the stream, and returns after the head of the response.
  package static func open(_ url: String, headers: [String: String] = [:]) async throws -> EventReader {
    let (heads, headsSink) = AsyncThrowingStream.makeStream(of: EventReader.self)
    let task = Task {
      do {
        var request = HTTPClientRequest(url: url)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await http.execute(request, timeout: .seconds(600))
        let headers = Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }
        guard headers["content-type"] == "text/event-stream" else {
          let body = String(buffer: try await response.body.collect(upTo: 1 << 20))
          headsSink.yield(EventReader(status: response.status.code, headers: headers, body: body))
          return
        }
        let reader = EventReader(status: response.status.code, headers: headers, body: "")
        headsSink.yield(reader)
        await reader.read(response.body)
      } catch {
        headsSink.finish(throwing: error)
      }
    }
    for try await reader in heads {
      reader.reading.withLock { $0 = task }
      return reader
    }
    throw Unexpected("no response from \(url)")
  }

  package var events: [Event] { state.withLock { $0.events } }
  package var others: [OtherEvent] { state.withLock { $0.others } }
  package var heartbeats: Int { state.withLock { $0.heartbeats } }
  package var end: End? { state.withLock { $0.end } }
  package var availableStock: Int? { events.last?.availableStock }

  /// Closes the connection.
  package func close() {
    reading.withLock { $0?.cancel() }
  }

  private func read(_ body: HTTPClientResponse.Body) async {
    do {
      var text = ""
      for try await chunk in body {
        text += String(buffer: chunk)
        while let end = text.range(of: "\n\n") {
          receive(text[..<end.lowerBound])
          text.removeSubrange(..<end.upperBound)
        }
      }
      state.withLock { $0.end = .complete }
    } catch {
      state.withLock { $0.end = .broken }
    }
  }

  private func receive(_ block: Substring) {
    if block == ":" { return state.withLock { $0.heartbeats += 1 } }
    let lines = block.split(separator: "\n")
    guard let data = lines.first(where: { $0.hasPrefix("data: ") })?.dropFirst(6),
      let type = lines.first(where: { $0.hasPrefix("event: ") })?.dropFirst(7)
    else { return }
    guard type == "stock" else {
      let event = OtherEvent(type: String(type), data: String(data), arrival: .now)
      return state.withLock { $0.others.append(event) }
    }
    guard let product = try? JSONDecoder().decode(Product.self, from: Data(data.utf8)) else { return }
    let event = Event(data: String(data), availableStock: product.available_stock, arrival: .now)
    state.withLock { $0.events.append(event) }
  }

  private struct Product: Decodable {
    let available_stock: Int
  }
}
