import Crypto
import Foundation

/// Signs customer tokens, as a shop does. It also signs texts that no shop would.
package struct CustomerTokenSigner: Sendable {
  package let kid: String
  private let key: Data

  /// - Parameter key: at least 32 bytes for a key that a server accepts.
  package init(kid: String = "shop", key: String = "the key of the shop has 32 bytes") {
    self.kid = kid
    self.key = Data(key.utf8)
  }

  /// An entry of CUSTOMER_TOKEN_KEYS.
  package var setting: String { "\(kid):\(key.base64EncodedString())" }

  /// - Parameters:
  ///   - claims: JSON.
  ///   - header: JSON. With nil, the usual header.
  package func token(_ claims: String, header: String? = nil) -> String {
    let header = header ?? #"{"alg":"HS256","typ":"JWT","kid":"\#(kid)"}"#
    let message = Self.base64URL(Data(header.utf8)) + "." + Self.base64URL(Data(claims.utf8))
    let code = HMAC<SHA256>.authenticationCode(for: Data(message.utf8), using: SymmetricKey(data: key))
    return message + "." + Self.base64URL(Data(code))
  }

  /// A valid token.
  ///
  /// - Parameter seconds: the time until it expires.
  package func token(of customer: String, expiresIn seconds: Double = 300) -> String {
    let end = Int64(Date().timeIntervalSince1970 + seconds)
    return token(#"{"sub":"\#(customer)","aud":"flashsale","exp":\#(end)}"#)
  }

  package static func base64URL(_ bytes: Data) -> String {
    bytes.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }
}
