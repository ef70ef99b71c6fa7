import HTTPTypes
import Synchronization

/// The number under which a request is found in the logs: the client's own if it sent one that is fit to be logged and
/// returned, else 32 random hexadecimal digits.
enum RequestID {
  /// Long enough for a UUID or a trace id with a prefix.
  private static let maximumLength = 128

  /// - Parameter given: the client's `X-Request-Id`.
  static func ofRequest(with given: String?) -> String {
    if let given, isSane(given) { given } else { random() }
  }

  /// Whether it may stand in a log, and in a header that nobody checks any more.
  private static func isSane(_ id: String) -> Bool {
    1...maximumLength ~= id.utf8.count && id.utf8.allSatisfy { 0x21...0x7E ~= $0 }
  }

  /// Two streams of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014), which start
  /// at random and share a counter. Nobody is to guess these numbers or not to: they only have to differ, and asking
  /// the kernel for each would be a system call.
  static func random() -> String {
    let step = count.wrappingAdd(1, ordering: .relaxed).newValue &* 0x9E37_79B9_7F4A_7C15
    let words = (mix(seeds.0 &+ step), mix(seeds.1 &+ step))
    return String(unsafeUninitializedCapacity: 32) { buffer in
      for index in 0..<16 {
        buffer[index] = digit(words.0, index)
        buffer[index + 16] = digit(words.1, index)
      }
      return 32
    }
  }

  private static let count = Atomic<UInt64>(0)
  private static let seeds = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))

  private static func mix(_ state: UInt64) -> UInt64 {
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  private static func digit(_ word: UInt64, _ index: Int) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * index)) & 0xF
    return value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}

extension HTTPField.Name {
  static let xRequestID = Self("X-Request-Id")!
}
