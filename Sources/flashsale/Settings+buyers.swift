import API
import Secrets

/// The settings about clients of buyers' routes; see docs/abuse.md.
extension Settings {
  func trustedProxies() throws -> TrustedProxies {
    guard let list = string("TRUSTED_PROXIES") else { return TrustedProxies() }
    guard let proxies = TrustedProxies(list) else {
      throw Failure(
        "TRUSTED_PROXIES must be addresses or networks such as 10.0.0.0/8, separated by commas, not '\(list)'")
    }
    return proxies
  }

  func crossOriginSharing() throws -> CrossOriginSharing? {
    guard let list = string("CORS_ORIGINS") else { return nil }
    guard let sharing = CrossOriginSharing(list) else {
      throw Failure(
        "CORS_ORIGINS must be * or origins such as https://shop.example.com, separated by commas, as browsers send them "
          + "(lower case, no default port, no slash at the end), not '\(list)'")
    }
    return sharing
  }

  func customerTokens() throws -> CustomerTokens? {
    guard let list = try secret("CUSTOMER_TOKEN_KEYS") else { return nil }
    // An empty entry is refused. It may be an unset variable.
    let keys = try list.revealed().split(separator: ",", omittingEmptySubsequences: false).map { text in
      guard let key = CustomerTokenKey(text.trimmingWhiteSpace()) else {
        throw Failure(
          "CUSTOMER_TOKEN_KEYS must be <kid>:<key> with a key of at least \(CustomerTokenKey.minimumKeyBytes) bytes in "
            + "Base64; several keys are separated by commas; `openssl rand -base64 32` makes a key")
      }
      return key
    }
    guard Set(keys.map(\.id)).count == keys.count else {
      throw Failure("CUSTOMER_TOKEN_KEYS must not have two keys with one kid")
    }
    return CustomerTokens(keys: keys)
  }

  /// Requests a second. Nil when there is no limit.
  func rateLimitPerClient() throws -> Double? {
    guard let text = string("RATE_LIMIT_PER_CLIENT") else { return nil }
    guard let value = Double(text), 0.1...1_000_000 ~= value else {
      throw Failure("RATE_LIMIT_PER_CLIENT must be a number of requests a second, 0.1 to 1000000, not '\(text)'")
    }
    return value
  }
}
