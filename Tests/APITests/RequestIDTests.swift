import Testing

@testable import API

@Suite struct RequestIDTests {
  @Test func `the request id of a client is used if it is safe to log`() {
    for given in ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", String(repeating: "x", count: 128)] {
      #expect(RequestID.ofRequest(with: given) == given)
    }
    for given in ["", "a b", "é", String(repeating: "x", count: 129)] {
      #expect(RequestID.ofRequest(with: given) != given)
    }
  }

  /// If both halves of an id came from one counter, a client could compute later ids.
  @Test func `consecutive random ids do not reveal a counter`() throws {
    let halves = try (0..<2000).flatMap { _ in
      let id = RequestID.random()
      return try [id.prefix(16), id.suffix(16)].map { try #require(UInt64($0, radix: 16)) }
    }
    // The inverse of SplitMix64's mixing function (Steele, Lea and Flood). It turns ids of a counter into equal steps.
    let states = halves.map(Self.unmix)
    for distance in 1...4 {
      let steps = zip(states, states.dropFirst(distance)).map { $1 &- $0 }
      #expect(Set(steps).count == steps.count)
    }
  }

  private static func unmix(_ word: UInt64) -> UInt64 {
    var word = word ^ (word >> 31) ^ (word >> 62)
    word = word &* 0x3196_42B2_D24D_8EC3
    word = word ^ (word >> 27) ^ (word >> 54)
    word = word &* 0x96DE_1B17_3F11_9089
    return word ^ (word >> 30) ^ (word >> 60)
  }

  @Test func `a random request id has 32 hexadecimal digits and is unique`() {
    let ids = (0..<10_000).map { _ in RequestID.random() }
    #expect(Set(ids).count == ids.count)
    #expect(ids.allSatisfy { $0.utf8.count == 32 && $0.allSatisfy { "0123456789abcdef".contains($0) } })
    // Each position takes each of the 16 digits.
    for index in 0..<32 { #expect(Set(ids.map { Array($0.utf8)[index] }).count == 16) }
  }
}
