import Foundation

/// The command that sends the example of an operation: its required parameters and its body.
struct CurlLine {
  /// The address of a server that `make run` starts. The page's script puts the address of its own server in its place.
  static let server = "http://127.0.0.1:8080"

  /// The path with the examples of its parameters.
  let path: String
  /// The options, each with its value.
  let options: [String]

  /// - Throws: `MissingExample` if a required parameter or the body has no example.
  init(_ operation: Operation, in document: OpenAPIDocument) throws {
    let required = try operation.parameters.filter(\.isRequired).map { parameter in
      guard let example = parameter.example else {
        throw MissingExample(of: "the parameter \(parameter.name)", operation: operation.id)
      }
      return (parameter: parameter, text: example.plainText)
    }
    var path = operation.path
    for (parameter, text) in required where parameter.location == "path" {
      path = path.replacingOccurrences(of: "{\(parameter.name)}", with: Self.encoded(text))
    }
    let query = required.filter { $0.parameter.location == "query" }.map {
      "\($0.parameter.name)=\(Self.encoded($0.text))"
    }
    self.path = query.isEmpty ? path : path + "?" + query.joined(separator: "&")

    var options: [String] = []
    let implied = operation.body == nil ? "GET" : "POST"
    if operation.method != implied { options.append("-X \(operation.method)") }
    // Without -N, curl collects the events of a stream before it shows them.
    if operation.success?.content?.type == "text/event-stream" { options.append("-N") }
    if let variable = Self.tokenVariable(operation, in: document) {
      options.append("-H \"Authorization: Bearer $\(variable)\"")
    }
    for (parameter, text) in required where parameter.location == "header" {
      options.append("-H \(Self.quoted("\(parameter.name): \(text)"))")
    }
    if let body = operation.body {
      guard let example = body.example else { throw MissingExample(of: "the body", operation: operation.id) }
      options.append("--json \(Self.quoted(example.json))")
    }
    self.options = options
  }

  struct MissingExample: Error, CustomStringConvertible {
    let part: String
    let operation: String
    init(of part: String, operation: String) { (self.part, self.operation) = (part, operation) }
    var description: String { "\(operation) needs an example for \(part)" }
  }

  /// The address of the server is an element of its own, so that a script can change it.
  var html: HTML {
    let url = Self.server + path
    let command = "curl " + (path.contains { "?&".contains($0) } ? Self.quoted(url) : url)
    // Long commands have one option a line. A shell joins lines that end in a backslash.
    let separator: HTML =
      options.count > 1 || path.utf8.count > 40 || options.contains { $0.utf8.count > 20 } ? " \\\n  " : " "
    return ([command] + options).map(Self.markingServer).joined(by: separator)
  }

  private static func markingServer(_ text: String) -> HTML {
    let parts = text.components(separatedBy: server).map { "\($0)" as HTML }
    return parts.joined(by: "<span class=\"server\">\(server)</span>")
  }

  /// The environment variable with the token: `ADMIN_TOKEN` for the scheme `adminToken`. Nil if none is required.
  static func tokenVariable(_ operation: Operation, in document: OpenAPIDocument) -> String? {
    guard !operation.security.contains([]) else { return nil }
    let scheme = operation.security.lazy.compactMap(\.first).first { document.securityScheme($0)?.isBearer == true }
    return scheme.map { $0.replacing(/[A-Z]/) { "_\($0.output)" }.uppercased() }
  }

  /// One word for a POSIX shell.
  private static func quoted(_ text: String) -> String {
    "'" + text.replacingOccurrences(of: "'", with: #"'\''"#) + "'"
  }

  /// Only the unreserved characters of RFC 3986 stay.
  private static func encoded(_ text: String) -> String {
    let unreserved = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
    return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
  }
}
