import Testing

@testable import API

@Suite struct ExportsTests {
  @Test func `a place is free again when nobody refers to it`() throws {
    let exports = Exports()
    var places = try (0..<Exports.maximumCount).map { _ in try exports.begin() }
    let refusal = #expect(throws: Problem.self) { try exports.begin() }
    #expect(refusal?.kind == .overloaded && refusal?.retryAfterSeconds == 10)
    places.removeLast()
    places.append(try exports.begin())
    #expect(throws: Problem.self) { try exports.begin() }
  }
}
