/// Why the server does not send events to a URL.
package struct EndpointRefusal: Error, Equatable, CustomStringConvertible {
  /// Words for the operator. They contain no part of the URL, which may have a secret in it.
  package let description: String

  static let notHTTPS = EndpointRefusal(description: "must begin with https://")
  static let notHTTP = EndpointRefusal(description: "must begin with https:// or http://")
  static let syntax = EndpointRefusal(
    description: "must be a URL in visible ASCII of at most \(EndpointAddress.maximumLength) characters")
  static let userInfo = EndpointRefusal(description: "must not have a user name or a password")
  static let fragment = EndpointRefusal(description: "must not have a fragment (#)")
  static let host = EndpointRefusal(description: "must have a host name in ASCII, or an IP address")
  static let port = EndpointRefusal(description: "must have a port from 1 to 65535, or none")
  static let notPublic = EndpointRefusal(description: "address is not public")
  static let unknownName = EndpointRefusal(description: "name is unknown")
  static let lookUpTimedOut = EndpointRefusal(description: "name look-up timed out")

  /// Whether the same URL may be accepted later, because the name is not in the DNS yet.
  var isTemporary: Bool { self == .unknownName || self == .lookUpTimedOut }
}
