import NIOCore
import Testing

@testable import API

@Suite struct RequestBodyTests {
  private struct Body: RequestBody {
    let count: Int32

    enum Member: String, CaseIterable {
      case count
    }

    init(from members: inout MemberReader<Member>) throws {
      // One expression on purpose: its argument changes `members`, on which `require` is called.
      count = try members.require(members.positiveInteger(.count))
    }
  }

  private func decode(_ text: String) throws -> Body {
    try Body(from: ByteBuffer(string: text))
  }

  @Test func `a member is read from an object with other members`() throws {
    #expect(try decode(#" {"more":[1.5e400,{}],"c\u006funt":7} "#).count == 7)
  }

  /// In JSON Schema a number with a zero fraction is an integer. Some clients write all numbers in that way.
  @Test(arguments: ["7", "7.0", "7e0", "0.7E1"])
  func `an integer is accepted in any JSON notation`(value: String) throws {
    #expect(try decode(#"{"count":\#(value)}"#).count == 7)
  }

  @Test(arguments: [
    "1.5", "1e-1", "0", "0.0", "-1", "2147483648", "1e400", "\"1\"", "true", "null", "[1]", "{}",
  ])
  func `any other value of an integer member is refused`(value: String) throws {
    let problem = try #require(throws: Problem.self) { try decode(#"{"count":\#(value)}"#) }
    #expect(problem.kind == .validation)
    #expect(problem.pointers == ["/count"])
  }

  @Test(arguments: ["", "[]", #"{"count":1,"count":1}"#, #"{"count":1,"x":"\ud800"}"#, #"{"count":1}}"#])
  func `a body that is not one JSON object is malformed`(text: String) throws {
    #expect(try #require(throws: Problem.self) { try decode(text) }.kind == .malformedRequest)
  }
}
