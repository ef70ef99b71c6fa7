import Testing

@testable import API

@Suite struct RequestIDTests {
  @Test func isTheClientsIfItIsFitToBeLogged() {
    for given in ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", String(repeating: "x", count: 128)] {
      #expect(RequestID.ofRequest(with: given) == given)
    }
    for given in ["", "a b", "é", String(repeating: "x", count: 129)] {
      #expect(RequestID.ofRequest(with: given) != given)
    }
  }

  /// Halves of ids that came from one counter would give the counter away.
  @Test func `neighbouring ids have nothing in common`() throws {
    let halves = try (0..<2000).flatMap { _ in
      let id = RequestID.random()
      return try [id.prefix(16), id.suffix(16)].map { try #require(UInt64($0, radix: 16)) }
    }
    // Steele, Lea and Flood's mixing function, backwards: of a counter it leaves steps of one size.
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

  @Test func isOtherwise32HexadecimalDigitsThatDiffer() {
    let ids = (0..<10_000).map { _ in RequestID.random() }
    #expect(Set(ids).count == ids.count)
    #expect(ids.allSatisfy { $0.utf8.count == 32 && $0.allSatisfy { "0123456789abcdef".contains($0) } })
    // Every digit takes every value.
    for index in 0..<32 { #expect(Set(ids.map { Array($0.utf8)[index] }).count == 16) }
  }
}
