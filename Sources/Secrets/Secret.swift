/// A password, token or key, or a URL that may contain one.
///
/// It is printed as `***`, also inside another value. It is not `Codable`, so that encoding does not reveal it. It is
/// not `Equatable`, because the duration of a usual comparison reveals where two texts differ.
package struct Secret: Sendable, Redacted {
  private let text: String

  package init(_ text: String) {
    self.text = text
  }

  /// The text of the secret. It must not be printed or logged.
  package func revealed() -> String { text }
}
