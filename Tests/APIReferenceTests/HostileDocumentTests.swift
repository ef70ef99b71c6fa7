import Testing

@testable import APIReference

/// Documents with text that looks like markup, or with parts that are missing.
@Suite struct HostileDocumentTests {
  private static let hostile = #"<script>alert(1)</script>"' & <b \#u{301}x>"#

  /// A document with the text in each place where a text can be.
  private static func document(_ text: String) -> String {
    let quoted = "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    return """
      info: {title: \(quoted), version: \(quoted), summary: \(quoted), description: \(quoted)}
      tags: [{name: things, description: \(quoted)}]
      paths:
        /things/{id}:
          post:
            operationId: makeThing
            tags: [things]
            summary: \(quoted)
            description: \(quoted)
            security: [{token: []}]
            parameters:
              - {name: id, in: path, required: true, description: \(quoted), schema: {type: string}, example: \(quoted)}
              - {name: X-Thing, in: header, required: true, schema: {type: string, pattern: \(quoted)}, example: \(quoted)}
            requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
            responses:
              '200':
                description: \(quoted)
                headers: {X-Thing: {description: \(quoted), schema: {type: string}}}
                content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}
              '204': {description: \(quoted)}
      components:
        securitySchemes: {token: {type: http, scheme: bearer, description: \(quoted)}}
        schemas:
          Thing:
            type: object
            description: \(quoted)
            examples: [{name: \(quoted)}]
            properties: {name: {type: string, description: \(quoted), enum: [\(quoted)]}}

      """
  }

  @Test func `text of the document is never markup`() throws {
    let harmless = try PageElements(ReferencePage(OpenAPIDocument(yaml: Self.document("text"))).html())
    let hostile = try PageElements(ReferencePage(OpenAPIDocument(yaml: Self.document(Self.hostile))).html())
    #expect(hostile.all.map(\.name) == harmless.all.map(\.name))
    #expect(hostile.all.map { $0.attributes.keys.sorted() } == harmless.all.map { $0.attributes.keys.sorted() })
    let texts = hostile.all.filter { $0.text.contains(Self.hostile) }
    #expect(texts.count > 20)
  }

  @Test func `an empty document has a page`() throws {
    for yaml in ["", "{}", "paths: {}"] {
      let page = try PageElements(ReferencePage(OpenAPIDocument(yaml: yaml)).html())
      #expect(page.withClass("call").isEmpty && page.withClass("schema").isEmpty)
    }
  }

  @Test(arguments: [
    ("schema: {$ref: '#/components/schemas/Nothing'}", "the document has no #/components/schemas/Nothing"),
    ("schema: {type: string}", "find needs an example for the parameter id"),
  ])
  func `a document with a gap is refused with the reason`(schema: String, reason: String) throws {
    let yaml = """
      tags: [{name: things}]
      paths:
        /things/{id}:
          get:
            operationId: find
            tags: [things]
            parameters: [{name: id, in: path, required: true, \(schema)}]
      """
    let error = #expect(throws: (any Error).self) { try ReferencePage(OpenAPIDocument(yaml: yaml)).html() }
    #expect(error.map { "\($0)" } == reason)
  }
}
