import NIOCore

/// Verifies customer tokens: JSON Web Tokens (RFC 7519) that the shop has signed with HS256.
///
/// JWTKit is not used. Its HMAC signer is internal, and the public collection of keys is an actor. So each hold would
/// need a task, and Foundation's JSON decoder besides. The verification here is one HMAC and two passes over short texts.
package struct CustomerTokens: Sendable {
  /// The required `aud`. So a token that the shop issues for another service buys nothing here.
  static let audience = "flashsale"

  /// The largest difference between the clocks of the shop and of this server, in seconds.
  static let toleranceSeconds = 60.0

  /// Why the server refuses a token. The raw value is for metrics and the access log.
  enum Refusal: String, Error, CaseIterable {
    case authorizationRepeated = "authorization_repeated"
    case malformed = "token_malformed"
    case otherAlgorithm = "token_algorithm"
    case unknownExtension = "token_extension"
    case unknownKey = "token_unknown_key"
    case wrongSignature = "token_signature"
    case otherAudience = "token_audience"
    case noExpiry = "token_without_expiry"
    case expired = "token_expired"
    case notYetValid = "token_not_yet_valid"
    case invalidSubject = "token_subject"
  }

  private enum Name: String {
    case alg, kid, crit
    case sub, aud, exp, nbf
  }

  private let keys: [CustomerTokenKey]
  private let knownHeaders = KnownHeaders()

  /// - Parameter keys: not empty, with different ids. A token may be signed with any of them, so that keys can be
  ///   rotated.
  package init(keys: [CustomerTokenKey]) {
    precondition(!keys.isEmpty)
    self.keys = keys
  }

  /// The customer of a request.
  ///
  /// - Parameter now: Unix seconds.
  /// - Returns: `unproven` if the request has no bearer token. A proxy may use another scheme for itself.
  func customer(of authorization: SingleField, at now: Double) throws(Refusal) -> Customer {
    switch authorization {
    case .absent: return .unproven
    case .repeated: throw .authorizationRepeated
    case .value(let value):
      guard let token = bearerCredentials(of: value) else { return .unproven }
      return .proven(try subject(of: Array(token), at: now))
    }
  }

  /// The `sub` of a valid token.
  ///
  /// - Parameter token: three texts in Base64 for URLs, separated by dots (RFC 7515, section 3.1).
  private func subject(of token: [UInt8], at now: Double) throws(Refusal) -> String {
    let parts = token.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, let signature = Base64URL.decode(parts[2]) else { throw .malformed }
    let known = knownHeaders.key(of: parts[0])
    let key = if let known { known } else { try key(of: parts[0]) }
    // No claim is read before the signature is verified.
    guard key.signs(token[..<parts[1].endIndex], with: signature) else { throw .wrongSignature }
    if known == nil { knownHeaders.insert(parts[0], key) }
    var claims = try Self.members(of: parts[1])
    guard claims.strings(.aud)?.contains(where: { $0.isVerbatim(Self.audience) }) == true else { throw .otherAudience }
    guard let end = claims.seconds(.exp) else { throw .noExpiry }
    guard now < end + Self.toleranceSeconds else { throw .expired }
    if claims.contains(.nbf) {
      guard let begin = claims.seconds(.nbf), now >= begin - Self.toleranceSeconds else { throw .notYetValid }
    }
    guard let subject = claims.customerID(.sub) else { throw .invalidSubject }
    return subject
  }

  /// The key that a token's header names. If the server has one key, the header need not name it.
  ///
  /// The header is not signed by anything yet. It can only choose among the keys, never the algorithm.
  private func key(of encoded: ArraySlice<UInt8>) throws(Refusal) -> CustomerTokenKey {
    var header = try Self.members(of: encoded)
    guard header.string(.alg, maximumLength: 255)?.isVerbatim("HS256") == true else { throw .otherAlgorithm }
    // `crit` lists extensions that the receiver must understand (RFC 7515, section 4.1.11).
    guard !header.contains(.crit) else { throw .unknownExtension }
    guard header.contains(.kid) else {
      guard keys.count == 1 else { throw .unknownKey }
      return keys[0]
    }
    let id = header.string(.kid, maximumLength: 255)
    guard let id, let key = keys.first(where: { $0.id.isVerbatim(id) }) else { throw .unknownKey }
    return key
  }

  private static func members(of encoded: ArraySlice<UInt8>) throws(Refusal) -> MemberReader<Name> {
    guard let text = Base64URL.decode(encoded), let members = try? MemberReader(ByteBuffer(bytes: text), Name.self)
    else { throw .malformed }
    return members
  }
}

extension CustomerTokens.Refusal {
  var problem: Problem {
    Problem(.invalidCustomerToken, detail, headers: [("WWW-Authenticate", "Bearer")], reason: rawValue)
  }

  /// What is wrong, for the client.
  private var detail: String {
    switch self {
    case .authorizationRepeated: "The request has more than one Authorization header."
    case .malformed: "The token is not a JSON Web Token: three texts in Base64 for URLs, separated by dots."
    case .otherAlgorithm: "The token's alg must be HS256."
    case .unknownExtension: "The token has critical extensions (crit), and the server supports none."
    case .unknownKey: "The token's kid names no key of this server."
    case .wrongSignature: "The token's signature does not match."
    case .otherAudience: "The token's aud must be or contain \(CustomerTokens.audience)."
    case .noExpiry: "The token's exp is missing, or is not a number of seconds."
    case .expired: "The token's exp has passed. Get a new token."
    case .notYetValid: "The token's nbf has not come, or is not a number of seconds."
    case .invalidSubject:
      "The token's sub must be a customer's id: 1 to 255 characters, without white space at either end, and without "
        + "control and format characters."
    }
  }
}
