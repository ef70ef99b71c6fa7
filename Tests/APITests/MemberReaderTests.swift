import NIOCore
import Testing

@testable import API

@Suite struct MemberReaderTests {
  private struct Body: RequestBody {
    let count: Int32
    let name: String

    enum Member: String, CaseIterable {
      case count, name
    }

    init(from members: inout MemberReader<Member>) throws {
      let count = members.positiveInteger(.count)
      let name = members.string(.name, maximumLength: 3)
      (self.count, self.name) = try members.require(count, name)
    }
  }

  @Test func readsWhatFits() throws {
    let body = try RequestBodies.decode(
      Body.self, from: ByteBuffer(string: #"{"count":2147483647,"name":"äöü","more":1}"#))
    #expect(body.count == .max)
    #expect(body.name == "äöü")
  }

  @Test(arguments: [
    #"{}"#, #"{"count":null,"name":null}"#, #"{"count":0,"name":""}"#, #"{"count":-1,"name":1}"#,
    #"{"count":2147483648,"name":"abcd"}"#, #"{"count":1.5,"name":"a\u0000"}"#, #"{"count":"1","name":[]}"#,
    #"{"count":true,"name":{}}"#,
  ])
  func namesEveryMemberThatDoesNotFit(text: String) throws {
    let error = try #require(throws: Problem.self) {
      try RequestBodies.decode(Body.self, from: ByteBuffer(string: text))
    }
    #expect(error.kind == .validation)
    #expect(error.pointers == ["/count", "/name"])
  }
}
