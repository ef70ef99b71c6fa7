import Testing

@testable import APIReference

/// The parts of the page: Markdown, types in words, and curl lines.
@Suite struct PartTests {
  @Test(arguments: [
    ("one line\nof text", "<p>one line of text</p>\n"),
    ("one\n\ntwo", "<p>one</p>\n<p>two</p>\n"),
    ("a `b<c>` d", "<p>a <code>b&lt;c&gt;</code> d</p>\n"),
    ("a `b", "<p>a `b</p>\n"),
    (
      "a list:\n\n- `x`: one,\n  and more\n- two\n",
      "<p>a list:</p>\n<ul><li><code>x</code>: one, and more</li>\n<li>two</li>\n</ul>\n"
    ),
    ("a list:\n- one\nno item", "<p>a list:</p>\n<ul><li>one</li>\n</ul>\n<p>no item</p>\n"),
    ("", ""), ("\n \n", ""), ("&amp; <b>", "<p>&amp;amp; &lt;b&gt;</p>\n"),
  ])
  func `Markdown becomes paragraphs, lists and code`(text: String, markup: String) {
    #expect(Markdown(text).html.markup == markup)
  }

  @Test func `code can be a link`() {
    let html = Markdown("`a`, `b`") { $0 == "a" ? "/problems/a" : nil }.html
    #expect(html.markup == "<p><a href=\"/problems/a\"><code>a</code></a>, <code>b</code></p>\n")
  }

  @Test(arguments: [
    ("{type: integer, format: int32, minimum: 1, maximum: 9}", "integer, int32, 1 to 9"),
    ("{type: integer, minimum: 0}", "integer, at least 0"),
    ("{type: [string, 'null'], format: date-time}", "string or null, date-time"),
    (
      "{type: string, minLength: 1, maxLength: 255, pattern: '^a<$'}",
      "string, 1 to 255 characters, pattern <code>^a&lt;$</code>"
    ),
    ("{type: string, enum: [a, b]}", "string, one of <code>a</code>, <code>b</code>"),
    ("{type: string, enum: ['true']}", "string, <code>true</code>"),
    ("{type: integer, not: {enum: [0]}}", "integer, not <code>0</code>"),
    (
      "{type: array, maxItems: 3, items: {$ref: '#/components/schemas/Thing'}}",
      "array of <a href=\"#schema-Thing\">Thing</a>, at most 3 items"
    ),
    (
      "{oneOf: [{$ref: '#/components/schemas/Size'}, {type: 'null'}]}",
      "<a href=\"#schema-Size\">string</a>, one of <code>s</code>, <code>l</code> or null"
    ),
    (
      "{oneOf: [{$ref: '#/components/schemas/Thing'}, {type: boolean}]}",
      "<a href=\"#schema-Thing\">Thing</a> or boolean"
    ),
    (
      "{$ref: '#/components/schemas/Size', description: Other.}",
      "<a href=\"#schema-Size\">string</a>, one of <code>s</code>, <code>l</code>"
    ),
  ])
  func `a schema in words`(yaml: String, words: String) throws {
    let root = try Value(yaml: "components: {schemas: {Thing: {type: object}, Size: {type: string, enum: [s, l]}}}")
    #expect(try Schema(Value(yaml: yaml), in: Components(root: root)).words.markup == words)
  }

  @Test(arguments: [
    ("get", "", #"curl http://127.0.0.1:8080/a"#),
    ("delete", "", #"curl http://127.0.0.1:8080/a -X DELETE"#),
    ("post", "", #"curl http://127.0.0.1:8080/a -X POST"#),
    ("post", body(#"{b: "it's"}"#), "curl http://127.0.0.1:8080/a \\\n  --json '{\"b\":\"it'\\''s\"}'"),
    (
      "patch", body(#"{b: [1, true, null, "\"\\\n"]}"#),
      "curl http://127.0.0.1:8080/a \\\n  -X PATCH \\\n  --json '{\"b\":[1,true,null,\"\\\"\\\\\\n\"]}'"
    ),
    (
      "get", "security: [{adminToken: []}]",
      "curl http://127.0.0.1:8080/a \\\n  -H \"Authorization: Bearer $ADMIN_TOKEN\""
    ),
    ("get", "security: [{}, {adminToken: []}]", #"curl http://127.0.0.1:8080/a"#),
    (
      "get", "parameters: [{name: q, in: query, required: true, example: a&b}, {name: r, in: query, example: c}]",
      #"curl 'http://127.0.0.1:8080/a?q=a%26b'"#
    ),
    ("get", "responses: {'200': {content: {text/event-stream: {}}}}", #"curl http://127.0.0.1:8080/a -N"#),
  ])
  func `the curl line of an operation`(method: String, parts: String, line: String) throws {
    let document = try OpenAPIDocument(
      yaml: """
        tags: [{name: all}]
        paths: {/a: {\(method): {tags: [all], \(parts)}}}
        components: {securitySchemes: {adminToken: {scheme: bearer}}}
        """)
    let operation = try #require(document.groups.first?.operations.first)
    let text = try PageElements("<p>\(CurlLine(operation, in: document).html.markup)</p>").all[0].text
    #expect(text == line)
  }

  @Test func `a script can change each address of the server in a curl line`() throws {
    let document = try OpenAPIDocument(
      yaml: """
        tags: [{name: all}]
        paths:
          /a:
            get:
              tags: [all]
              parameters: [{name: Origin, in: header, required: true, example: http://127.0.0.1:8080}]
        """)
    let operation = try #require(document.groups.first?.operations.first)
    let elements = try PageElements("<p>\(CurlLine(operation, in: document).html.markup)</p>")
    #expect(elements.all[0].text == "curl http://127.0.0.1:8080/a \\\n  -H 'Origin: http://127.0.0.1:8080'")
    #expect(elements.withClass("server").map(\.text) == [CurlLine.server, CurlLine.server])
  }

  private static func body(_ example: String) -> String {
    "requestBody: {content: {application/json: {example: \(example)}}}"
  }
}
