/// Who makes a change, for the log of changes.
package struct ChangeAuthor: Sendable, Equatable {
  /// The name of a key, `ADMIN_TOKEN`, or `command line`; 1 to 255 characters.
  package let name: String
  /// The id of the request, 1 to 255 characters. Nil outside of HTTP.
  package let requestID: String?

  package init(name: String, requestID: String?) {
    self.name = name
    self.requestID = requestID
  }

  /// The shell commands. No key has a name with a space.
  package static let commandLine = ChangeAuthor(name: "command line", requestID: nil)
}
