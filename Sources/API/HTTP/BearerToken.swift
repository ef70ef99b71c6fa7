import Crypto
import FoundationEssentials
import Secrets

extension Request {
  /// The bearer token (RFC 6750) of the request. Nil if it has no `Authorization`, or one of another scheme.
  var bearerToken: Secret? {
    headers.value(ofLowercased: "authorization").flatMap(bearerCredentials).map { Secret(String(Substring($0))) }
  }
}

/// The token that requests must have.
struct ExpectedToken: Redacted {
  private let digest: SHA256.Digest

  init(_ token: Secret) {
    digest = Self.digest(of: token)
  }

  /// Digests have one length and are compared in constant time, so the time reveals neither the token nor its length.
  func matches(_ token: Secret) -> Bool { Self.digest(of: token) == digest }

  private static func digest(of token: Secret) -> SHA256.Digest { SHA256.hash(data: Data(token.revealed().utf8)) }
}

extension Problem {
  /// - Parameter detail: says what to send.
  static func unauthorized(_ detail: String) -> Problem {
    Problem(.unauthorized, detail, headers: [("WWW-Authenticate", "Bearer")])
  }
}

/// The credentials of an `Authorization` field (RFC 6750, section 2.1). Nil if the field has another scheme.
///
/// The name of a scheme is case-insensitive (RFC 9110, section 11.1).
func bearerCredentials(of authorization: String) -> Substring.UTF8View? {
  let scheme: StaticString = "bearer "
  let bytes = authorization[...].utf8.trimmed
  guard bytes.prefix(scheme.utf8CodeUnitCount).isWord(scheme) else { return nil }
  return bytes.dropFirst(scheme.utf8CodeUnitCount).trimmed
}
