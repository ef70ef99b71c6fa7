import Testing
import Yams

@testable import API
@testable import APIReference

/// The page of this API's document.
@Suite struct ReferencePageTests {
  private static let yaml = String(decoding: OpenAPIRoute.bytes, as: UTF8.self)

  private static func page() throws -> String { try ReferencePage(OpenAPIDocument(yaml: yaml)).html() }

  /// The document as another reader of YAML sees it, so that the page cannot lose a part unnoticed.
  private static func document() throws -> [String: Any] {
    try #require(try Yams.load(yaml: yaml) as? [String: Any])
  }

  @Test func `the program contains the page of its document`() throws {
    let embedded = try #require(EmbeddedPages.reference.first)
    #expect(EmbeddedPages.reference.count == 1 && embedded.name == "docs.html")
    let page = try Self.page()
    #expect(embedded.text == page)
  }

  @Test func `each operation has a part with its address, parameters, statuses and a curl line`() throws {
    let elements = try PageElements(try Self.page())
    let calls = elements.withClass("call")
    let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
    var count = 0
    for (path, item) in paths {
      for (method, value) in item where method != "parameters" {
        count += 1
        let operation = try #require(value as? [String: Any])
        let id = try #require(operation["operationId"] as? String)
        let call = try #require(calls.first { $0.attributes["id"] == id }, "\(id)")
        #expect(call.text.contains("\(method.uppercased()) \(path)\n"), "\(id)")
        for status in (operation["responses"] as? [String: Any] ?? [:]).keys where status != "default" {
          #expect(call.text.contains(status), "\(id) \(status)")
        }
        let parameters =
          (item["parameters"] as? [[String: Any]] ?? []) + (operation["parameters"] as? [[String: Any]] ?? [])
        for name in parameters.compactMap({ $0["name"] as? String }) {
          #expect(call.text.contains(name), "\(id) \(name)")
        }
        #expect(call.text.contains("curl http://127.0.0.1:8080/"), "\(id)")
      }
    }
    #expect(count > 15 && calls.count == count)
    #expect(elements.withClass("curl").count == count)
  }

  @Test func `each schema has a part with all of its members`() throws {
    let schemas = try PageElements(try Self.page()).withClass("schema")
    let components = try #require(try Self.document()["components"] as? [String: Any])
    let described = try #require(components["schemas"] as? [String: [String: Any]])
    #expect(described.count > 30 && schemas.count == described.count)
    for (name, value) in described {
      let schema = try #require(schemas.first { $0.attributes["id"] == "schema-\(name)" }, "\(name)")
      for member in (value["properties"] as? [String: Any] ?? [:]).keys {
        #expect(schema.text.contains(member), "\(name).\(member)")
      }
      for value in value["enum"] as? [String] ?? [] { #expect(schema.text.contains(value), "\(name) \(value)") }
    }
  }

  @Test func `each operation and each schema of the document is in the contents or in a list`() throws {
    let page = try PageElements(try Self.page())
    let document = try OpenAPIDocument(yaml: Self.yaml)
    for operation in document.groups.flatMap(\.operations) { #expect(page.links.contains("#\(operation.id)")) }
    for schema in document.schemas where schema.isComposed {
      #expect(page.links.contains("#schema-\(try #require(schema.name))"))
    }
  }

  @Test func `each link has a target, and no two elements have one id`() throws {
    let page = try PageElements(try Self.page())
    let ids = Set(page.ids)
    #expect(ids.count == page.ids.count)
    #expect(page.links.count > 100)
    let problems = Set(Problem.Kind.allCases.map { "/problems/" + $0.rawValue })
    for link in page.links {
      if link.hasPrefix("#") {
        #expect(ids.contains(String(link.dropFirst())), "\(link)")
      } else {
        #expect(problems.contains(link) || ["/", "/openapi.yaml"].contains(link), "\(link)")
      }
    }
    #expect(problems.isSubset(of: page.links))
  }

  /// The policy of the pages forbids them.
  @Test func `the page has no script, style or handler in its text`() throws {
    for element in try PageElements(try Self.page()).all {
      #expect(element.name != "style" && (element.name != "script" || element.text.isEmpty), "\(element)")
      #expect(element.attributes.keys.allSatisfy { $0 != "style" && !$0.hasPrefix("on") }, "\(element)")
      for name in ["src", "href"] {
        let address = element.attributes[name] ?? "#"
        #expect(address.hasPrefix("/") || address.hasPrefix("#"), "\(element)")
      }
    }
  }

  @Test func `descriptions use no Markdown that the page does not know`() throws {
    func check(_ value: Any, at path: String) {
      if let list = value as? [Any] { return list.forEach { check($0, at: path) } }
      for (name, part) in value as? [String: Any] ?? [:] {
        if let text = part as? String, ["description", "summary"].contains(name) {
          let prose = text.replacing(/`[^`]*`/, with: "")
          let markup = /[`*|#\[\]]|\b_|_\b|^ *\d+\. |^ +- |^>/.anchorsMatchLineEndings()
          #expect(prose.firstMatch(of: markup) == nil, "\(path): \(text)")
        } else if !["example", "examples", "properties"].contains(name) {
          check(part, at: "\(path)/\(name)")
        } else if name == "properties" {
          for (member, schema) in part as? [String: Any] ?? [:] { check(schema, at: "\(path)/\(member)") }
        }
      }
    }
    check(try Self.document(), at: "")
  }

  @Test func `an example has the members of its schema, and a problem has its title and status`() throws {
    let components = try #require(try Self.document()["components"] as? [String: Any])
    let schemas = try #require(components["schemas"] as? [String: [String: Any]])
    var count = 0
    for (name, schema) in schemas {
      for case let example as [String: Any] in schema["examples"] as? [Any] ?? [] {
        count += 1
        let properties = try #require(schema["properties"] as? [String: Any])
        #expect(Set(example.keys).isSubset(of: properties.keys), "\(name)")
        #expect(Set(example.keys).isSuperset(of: schema["required"] as? [String] ?? []), "\(name)")
        guard name.hasSuffix("Problem") else { continue }
        let type = try #require(example["type"] as? String)
        let kind = try #require(Problem.Kind.allCases.first { "/problems/" + $0.rawValue == type }, "\(type)")
        #expect(
          example["title"] as? String == kind.title && example["status"] as? Int == Int(kind.status.code), "\(name)")
      }
    }
    #expect(count > 10)
  }
}
