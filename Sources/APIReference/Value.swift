import Foundation
import Yams

/// A part of a YAML document. A mapping keeps the order of the document.
package enum Value: Sendable {
  case null
  case flag(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([Value])
  case mapping([Member])

  package typealias Member = (name: String, value: Value)

  /// - Throws: `YamlError` if the text is not YAML.
  package init(yaml: String) throws {
    self = try Yams.compose(yaml: yaml).map { Value($0) } ?? .null
  }

  private init(_ node: Node) {
    switch node {
    case .mapping(let mapping):
      self = .mapping(mapping.map { ($0.key.scalar?.string ?? "", Value($0.value)) })
    case .sequence(let sequence):
      self = .list(sequence.map { Value($0) })
    case .scalar(let scalar):
      switch node.any {
      case is NSNull: self = .null
      case let flag as Bool: self = .flag(flag)
      case let integer as Int: self = .integer(integer)
      case let number as Double: self = .number(number)
      default: self = .text(scalar.string)
      }
    case .alias:
      preconditionFailure("Yams replaces aliases when it composes a document")
    }
  }

  package subscript(name: String) -> Value? { members.first { $0.name == name }?.value }

  package var members: [Member] { if case .mapping(let members) = self { members } else { [] } }
  package var list: [Value] { if case .list(let values) = self { values } else { [] } }
  package var text: String? { if case .text(let text) = self { text } else { nil } }
  package var isTrue: Bool { if case .flag(true) = self { true } else { false } }

  /// The members of a mapping, with the members of another one in their place.
  func overridden(by other: [Member]) -> Value {
    .mapping(members.filter { member in !other.contains { $0.name == member.name } } + other)
  }
}
