import Checkout
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

  private func customerID(_ id: String) throws -> String? {
    let text = #"{"product_id":1,"quantity":1,"customer_id":"\#(id)"}"#
    return try ReserveBody(from: ByteBuffer(string: text)).customerID
  }

  @Test(arguments: [
    "ada", "Ada Lovelace", "я", "名前", "a@b.example", "e\u{301}", "\u{1F600}", String(repeating: "x", count: 255),
  ])
  func `a customer id may be any visible text`(id: String) throws {
    #expect(try customerID(id)?.utf8.elementsEqual(id.utf8) == true)
  }

  @Test(arguments: [
    " bob", "bob ", "bob\u{A0}", "\u{3000}bob", "\u{2003}", " ", "b\u{200B}ob", "bob\u{200D}", "\u{FEFF}bob", #"b\tob"#,
    #"b\u000aob"#, "b\u{7F}ob", "b\u{85}ob", "b\u{AD}ob", "b\u{2028}ob", "b\u{202E}ob", "b\u{E0001}ob", " \u{301}bob",
    "bob\u{2060}",
  ])
  func `a customer id with invisible characters is refused`(id: String) throws {
    let problem = try #require(throws: Problem.self) { try customerID(id) }
    #expect(problem.kind == .validation && problem.pointers == ["/customer_id"])
  }

  @Test(
    arguments: [
      ("1", 1), ("9223372036854775807", .max), ("null", nil), ("0", 0), ("-1", 0), ("1.5", 0),
      ("9223372036854775808", 0),
      (#""1""#, 0),
    ] as [(String, Int64?)])
  func `the amount of a refund is absent or at least 1`(given: String, expected: Int64?) throws {
    let text = ByteBuffer(string: #"{"amount":\#(given)}"#)
    if expected == 0 {
      let problem = try #require(throws: Problem.self) { try RefundBody(from: text) }
      #expect(problem.kind == .validation && problem.pointers == ["/amount"])
    } else {
      #expect(try RefundBody(from: text).amount == expected)
    }
  }

  @Test(
    arguments: [
      ("USD", "USD"), ("usd", "USD"), ("eUr", "EUR"), ("us", nil), ("usd1", nil), ("u$d", nil), ("ÜSD", nil),
      ("U@D", nil),
    ] as [(String, String?)])
  func `the currency of a payment event may have small letters`(given: String, expected: String?) throws {
    let text = #"{"idempotency_key":"k","order_id":"o","status":"success","currency":"\#(given)"}"#
    guard let expected else {
      let problem = try #require(throws: Problem.self) { try EventBody(from: ByteBuffer(string: text)) }
      #expect(problem.kind == .validation && problem.pointers == ["/currency"])
      return
    }
    #expect(try EventBody(from: ByteBuffer(string: text)).currency == expected)
  }

  private func metadata(_ json: String) throws -> Metadata? {
    try PlaceBody(from: ByteBuffer(string: #"{"hold_id":"h","metadata":\#(json)}"#)).metadata
  }

  @Test(
    arguments: [
      ("null", nil), ("{}", nil), (#"{"a":""}"#, #"{"a": ""}"#),
      (#" { "bb" : "\u0041\n" , "a" : "{}" } "#, #"{"a": "{}", "bb": "A\n"}"#),
      (#"{"\u00e9":"1","e\u0301":"2"}"#, "{\"\u{e9}\": \"1\", \"e\u{301}\": \"2\"}"),
    ] as [(String, String?)])
  func `metadata is an object of strings`(json: String, expected: String?) throws {
    let read = try metadata(json)?.json
    #expect(read.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
  }

  @Test func `metadata has at most ten strings with names of 40 and values of 500 characters`() throws {
    func object(_ count: Int, name nameLength: Int = 1, value valueLength: Int = 1) -> String {
      let members = (0..<count).map { index in
        let name = "\(index % 10)" + String(repeating: "é", count: nameLength - 1)
        return #""\#(name)":"\#(String(repeating: "é", count: valueLength))""#
      }
      return "{\(members.joined(separator: ","))}"
    }
    #expect(try metadata(object(10, name: 40, value: 500)) != nil)
    for (json, pointer) in [
      (object(11), "/metadata"), (object(1, name: 41), "/metadata/0" + String(repeating: "é", count: 40)),
      (object(1, value: 501), "/metadata/0"),
    ] {
      let problem = try #require(throws: Problem.self) { try metadata(json) }
      #expect(problem.kind == .validation && problem.pointers == [pointer])
    }
  }

  @Test(
    arguments: [
      ("[]", ["/metadata"]), (#""a""#, ["/metadata"]), ("true", ["/metadata"]),
      (#"{"a":1,"b":"x","c":null,"d":{"e":"f"}}"#, ["/metadata/a", "/metadata/c", "/metadata/d"]),
      (#"{"":"x"}"#, ["/metadata/"]), (#"{"a":"\u0000"}"#, ["/metadata/a"]), (#"{"~/":1}"#, ["/metadata/~0~1"]),
      (#"{"a":"x","\u0061":"x"}"#, ["/metadata/a"]), (#"{"/\u0338":1}"#, ["/metadata/~1\u{338}"]),
    ] as [(String, [String])])
  func `each invalid string of metadata has a pointer`(json: String, pointers: [String]) throws {
    let problem = try #require(throws: Problem.self) { try metadata(json) }
    #expect(problem.kind == .validation && problem.pointers == pointers)
  }

  @Test func `valid members are read, and unknown members are ignored`() throws {
    let body = try Body(
      from: ByteBuffer(string: #"{"count":2147483647,"name":"äöü","more":1}"#))
    #expect(body.count == .max)
    #expect(body.name == "äöü")
  }

  @Test(arguments: [
    #"{}"#, #"{"count":null,"name":null}"#, #"{"count":0,"name":""}"#, #"{"count":-1,"name":1}"#,
    #"{"count":2147483648,"name":"abcd"}"#, #"{"count":1.5,"name":"a\u0000"}"#, #"{"count":"1","name":[]}"#,
    #"{"count":true,"name":{}}"#,
  ])
  func `a validation problem names each invalid member`(text: String) throws {
    let error = try #require(throws: Problem.self) {
      try Body(from: ByteBuffer(string: text))
    }
    #expect(error.kind == .validation)
    #expect(error.pointers == ["/count", "/name"])
  }
}
