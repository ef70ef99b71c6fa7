import FoundationEssentials

/// The id of an event: `evt_` and 32 lower-case hexadecimal digits for clients. The first 8 digits are the product.
package struct EventID: Sendable, Hashable {
  package let uuid: UUID

  package init(_ uuid: UUID) { self.uuid = uuid }

  /// Nil when the text is no id of an event.
  package init?(text: String) {
    guard let uuid = UUID(digitsOf: text, prefix: "evt_") else { return nil }
    self.uuid = uuid
  }

  package var text: String { "evt_" + uuid.digits }

  /// 0 for a test of an endpoint.
  package var productID: Int32 {
    Int32(bitPattern: withUnsafeBytes(of: uuid.uuid) { UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self)) })
  }
}

/// The id of an endpoint: `we_` and 32 lower-case hexadecimal digits for clients.
package struct EndpointID: Sendable, Hashable {
  package let uuid: UUID

  package init(_ uuid: UUID) { self.uuid = uuid }

  /// Nil when the text is no id of an endpoint.
  package init?(text: String) {
    guard let uuid = UUID(digitsOf: text, prefix: "we_") else { return nil }
    self.uuid = uuid
  }

  package var text: String { "we_" + uuid.digits }
}

extension UUID {
  /// 32 lower-case hexadecimal digits.
  fileprivate var digits: String { uuidString.replacing("-", with: "").lowercased() }

  /// Nil unless the text is the prefix and 32 lower-case hexadecimal digits.
  fileprivate init?(digitsOf text: String, prefix: String) {
    let digits = Array(text.utf8.dropFirst(prefix.utf8.count))
    guard text.utf8.starts(with: prefix.utf8), digits.count == 32,
      digits.allSatisfy({
        UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
      })
    else { return nil }
    let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: digits[$0], as: UTF8.self) }
    self.init(uuidString: groups.joined(separator: "-"))
  }
}
