import Foundation
import FoundationXML
import Testing

/// The elements of a page, which must be well-formed XML.
final class PageElements: NSObject, XMLParserDelegate {
  struct Element {
    let name: String
    let attributes: [String: String]
    /// The text of the element and of those in it.
    fileprivate(set) var text = ""
  }

  private(set) var all: [Element] = []
  /// The indices of the elements that are open.
  private var open: [Int] = []

  init(_ page: String) throws {
    super.init()
    let parser = XMLParser(data: Data(page.utf8))
    parser.delegate = self
    try #require(parser.parse(), "line \(parser.lineNumber): \(String(describing: parser.parserError))")
  }

  var ids: [String] { all.compactMap { $0.attributes["id"] } }
  var links: [String] { all.filter { $0.name == "a" }.compactMap { $0.attributes["href"] } }

  func withClass(_ name: String) -> [Element] {
    all.filter { $0.attributes["class"]?.split(separator: " ").contains { $0 == name } == true }
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    open.append(all.count)
    all.append(Element(name: name, attributes: attributes))
  }

  func parser(_ parser: XMLParser, foundCharacters text: String) {
    for index in open { all[index].text += text }
  }

  func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
    open.removeLast()
  }
}
