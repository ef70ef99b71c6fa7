import Synchronization

/// The headers of customer tokens that this server has seen, and the keys that they name.
///
/// All tokens of one signer have the same header, byte for byte. So the server decodes it once.
final class KnownHeaders: Sendable {
  /// The most headers. A shop has few signers, and each has few keys.
  private static let maximumCount = 16

  private let keys = Mutex<[(header: [UInt8], key: CustomerTokenKey)]>([])

  /// Nil if the header is not known.
  func key(of header: ArraySlice<UInt8>) -> CustomerTokenKey? {
    keys.withLock { keys in keys.first { $0.header.elementsEqual(header) }?.key }
  }

  /// Call this only after the token's signature is verified. Then only the shop can fill the table.
  func insert(_ header: ArraySlice<UInt8>, _ key: CustomerTokenKey) {
    keys.withLock { keys in
      guard keys.count < Self.maximumCount, !keys.contains(where: { $0.header.elementsEqual(header) }) else { return }
      keys.append((Array(header), key))
    }
  }
}
