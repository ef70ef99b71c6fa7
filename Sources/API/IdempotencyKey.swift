import HTTPTypes
import Hummingbird

extension Request {
  /// The value of `Idempotency-Key`: 1 to 255 visible ASCII characters. Nil when there is no such header.
  ///
  /// - Throws: `Problem.validation`.
  var idempotencyKey: String? {
    get throws {
      guard let key = headers[.idempotencyKey] else { return nil }
      guard 1...255 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
        throw Problem.validation("/Idempotency-Key", "the header must have 1 to 255 visible ASCII characters")
      }
      return key
    }
  }
}

extension HTTPFields {
  /// The headers of an answer to a request that made something.
  ///
  /// - Parameter isReplay: an earlier request under the same idempotency key made it.
  static func made(_ location: String, isReplay: Bool = false) -> HTTPFields {
    var headers: HTTPFields = [.location: location]
    if isReplay { headers[.idempotentReplayed] = "true" }
    return headers
  }
}

extension HTTPField.Name {
  static let idempotencyKey = Self("Idempotency-Key")!
  static let idempotentReplayed = Self("Idempotent-Replayed")!
}
