/// An error for the operator: one line with the cause.
package struct RehearsalError: Error, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }
}
