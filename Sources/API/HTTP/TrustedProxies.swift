/// The proxies whose `X-Forwarded-For` is believed. Anybody else could name another address in each request.
package struct TrustedProxies: Sendable {
  private let ranges: [IPRange]

  /// No proxy: a client's address is that of its connection.
  package init() { ranges = [] }

  /// - Parameter list: addresses and networks such as `10.0.0.0/8`, separated by commas. Nil when one is neither.
  package init?(_ list: String) {
    var ranges: [IPRange] = []
    for text in list.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard let range = IPRange(String(decoding: text.trimmed, as: UTF8.self)) else { return nil }
      ranges.append(range)
    }
    self.ranges = ranges
  }

  /// The address of the client.
  ///
  /// Each proxy adds the address that it was called from at the end, so the list is read backwards: an entry counts while
  /// the one behind it is a trusted proxy's. What stands further to the front is the client's own words.
  ///
  /// - Parameters:
  ///   - connection: where the connection comes from. Nil when that is no IP address.
  ///   - forwarded: the values of `X-Forwarded-For`, in the order of the header fields.
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

  private func isTrusted(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

  /// Some proxies add the port, and put IPv6 in brackets.
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
