import Addresses
import NIOCore
import NIOHTTP1

/// The proxies whose `X-Forwarded-For` the server trusts. Any other client could send a new address with each request.
package struct TrustedProxies: Sendable {
  private let ranges: [IPRange]

  /// No proxies: the address of a client is that of its connection.
  package init() { ranges = [] }

  package var isEmpty: Bool { ranges.isEmpty }

  /// - Parameter list: addresses and networks such as `10.0.0.0/8`, separated by commas. Nil if an entry is neither.
  package init?(_ list: String) {
    var ranges: [IPRange] = []
    for text in list.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard let range = IPRange(String(decoding: text.trimmed, as: UTF8.self)) else { return nil }
      ranges.append(range)
    }
    self.ranges = ranges
  }

  /// The address of the client of a request. Nil if the connection has no IP address.
  func client(of headers: HTTPHeaders, on channel: any Channel) -> IPAddress? {
    client(
      connection: channel.remoteAddress.flatMap { IPAddress($0) },
      forwarded: isEmpty ? [] : headers["X-Forwarded-For"])
  }

  /// The address of the client.
  ///
  /// Each proxy appends the address of its own client, so the list is read from its end. An entry is trusted if a
  /// trusted proxy appended it. The client may have invented all earlier entries.
  ///
  /// - Parameters:
  ///   - connection: the remote address of the connection. Nil if it is no IP address.
  ///   - forwarded: the values of `X-Forwarded-For`, in the order of the header fields.
  /// - Returns: nil if `connection` is nil.
  func client(connection: IPAddress?, forwarded: [String]) -> IPAddress? {
    guard var client = connection else { return nil }
    for entry in forwarded.reversed().lazy.flatMap(Self.entriesFromTheEnd) {
      guard isTrusted(client), let address = Self.address(entry) else { break }
      client = address
    }
    return client
  }

  private static func entriesFromTheEnd(_ value: String) -> ReversedCollection<[Substring.UTF8View.SubSequence]> {
    value[...].utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).reversed()
  }

  /// Whether the client used TLS, as the nearest proxy says. The server itself has no TLS.
  ///
  /// - Parameter forwardedProtocol: the value of `X-Forwarded-Proto`.
  func isSecure(connection: IPAddress?, forwardedProtocol: String?) -> Bool {
    guard let connection, isTrusted(connection) else { return false }
    return forwardedProtocol?.utf8.isWord("https") == true
  }

  private func isTrusted(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

  /// The address of an entry. Some proxies append the port, and put IPv6 addresses in brackets.
  private static func address(_ entry: Substring.UTF8View) -> IPAddress? {
    let entry = entry.trimmed
    if let address = IPAddress(String(decoding: entry, as: UTF8.self)) { return address }
    if entry.first == UInt8(ascii: "[") {
      return entry.firstIndex(of: UInt8(ascii: "]")).flatMap {
        IPAddress(String(decoding: entry[..<$0].dropFirst(), as: UTF8.self))
      }
    }
    return entry.lastIndex(of: UInt8(ascii: ":")).flatMap { IPAddress(String(decoding: entry[..<$0], as: UTF8.self)) }
  }
}
