import HTTPTypes
import Hummingbird

extension FastRoute.Request {
  /// The value of `Idempotency-Key`: 1 to 255 visible ASCII characters. Nil when there is no such header.
  ///
  /// - Throws: `Problem.validation`.
  var idempotencyKey: String? {
    get throws { try valid(self[.idempotencyKey]) }
  }
}

extension Request {
  /// The same, of a request that the router takes.
  var idempotencyKey: String? {
    get throws { try valid(headers[.idempotencyKey]) }
  }
}

private func valid(_ key: String?) throws -> String? {
  guard let key else { return nil }
  guard 1...255 ~= key.utf8.count, key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
    throw Problem.validation("/Idempotency-Key", "the header must have 1 to 255 visible ASCII characters")
  }
  return key
}

extension HTTPField.Name {
  fileprivate static let idempotencyKey = Self("Idempotency-Key")!
}
