import Crypto
import FoundationEssentials
import Secrets

/// The 32 bytes by which the database knows a secret. It never gets the secret itself.
enum SecretDigest {
  /// The SHA-256 of a secret with random bits of its own. Nobody can guess such a secret from its digest.
  static func of(_ secret: Secret) -> Data { Data(SHA256.hash(data: bytes(secret))) }

  /// The HMAC-SHA-256 (RFC 2104) of a secret that a person may have chosen. Without the key it cannot be guessed, either.
  ///
  /// - Parameter key: a random secret that the database does not have.
  static func of(_ secret: Secret, under key: Secret) -> Data {
    Data(HMAC<SHA256>.authenticationCode(for: bytes(secret), using: SymmetricKey(data: bytes(key))))
  }

  private static func bytes(_ secret: Secret) -> Data { Data(secret.revealed().utf8) }
}
