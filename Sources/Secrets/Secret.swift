/// A password, token or key, or a URL that may contain one.
///
/// However it is printed, alone or inside something else, it is `***`. It is not `Codable`, and not `Equatable` either,
/// since an ordinary comparison tells by its duration where two texts differ.
package struct Secret: Sendable, Redacted {
  private let text: String

  package init(_ text: String) {
    self.text = text
  }

  /// The secret itself, to be handed on and never to be printed.
  package func revealed() -> String { text }
}
