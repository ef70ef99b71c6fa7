import Foundation
import Testing

@testable import API

@Suite struct MemberReaderTests {
  private struct Body: Decodable {
    let count: Int32
    let name: String

    enum CodingKeys: CodingKey {
      case count, name
    }

    init(from decoder: any Decoder) throws {
      var members = try MemberReader(decoder, keyedBy: CodingKeys.self)
      let count = members.positiveInteger(.count)
      let name = members.string(.name, maximumLength: 3)
      (self.count, self.name) = try members.require(count, name)
    }
  }

  @Test func readsWhatFits() throws {
    let body = try JSONDecoder().decode(Body.self, from: Data(#"{"count":2147483647,"name":"äöü","more":1}"#.utf8))
    #expect(body.count == .max)
    #expect(body.name == "äöü")
  }

  @Test(arguments: [
    #"{}"#, #"{"count":null,"name":null}"#, #"{"count":0,"name":""}"#, #"{"count":-1,"name":1}"#,
    #"{"count":2147483648,"name":"abcd"}"#, #"{"count":1.5,"name":"a\u0000"}"#, #"{"count":"1","name":[]}"#,
    #"{"count":true,"name":{}}"#,
  ])
  func namesEveryMemberThatDoesNotFit(text: String) throws {
    let error = try #require(throws: Problem.self) { try JSONDecoder().decode(Body.self, from: Data(text.utf8)) }
    #expect(error.kind == .validation)
    #expect(error.pointers == ["/count", "/name"])
  }
}
