import FoundationEssentials

/// Verifies that an event comes from Stripe.
package struct StripeVerifier: Sendable {
  /// The most signatures that are compared. Stripe sends one for each secret of the endpoint: two during a rotation.
  static let maximumSignatures = 16

  /// Why the server refuses an event.
  enum Refusal: Equatable {
    case headerMissing
    case timestampInvalid
    /// - Parameter seconds: the age of the event. Negative if its timestamp is in the future.
    case timestampOff(seconds: Int64)
    case noSignatureFits
  }

  private let secrets: [StripeSecret]

  /// - Parameter secrets: not empty. A signature with any of them is valid, so that secrets can be rotated.
  package init(secrets: [StripeSecret]) {
    precondition(!secrets.isEmpty)
    self.secrets = secrets
  }

  /// Checks the signature of an event.
  ///
  /// - Parameters:
  ///   - signature: the value of `Stripe-Signature`: `t=<Unix seconds>` and some `v1=<hexadecimal>`, separated by
  ///     commas. Other entries are ignored, because Stripe may add schemes.
  ///   - now: Unix seconds.
  /// - Returns: nil if a signature is valid.
  func refusal(signature: String?, body: some DataProtocol, now: Int64) -> Refusal? {
    guard let signature, !signature.utf8.isEmpty else { return .headerMissing }
    let entries = signature.utf8.split(separator: UInt8(ascii: ","))
    let timestamps = entries.filter { $0.starts(with: "t=".utf8) }
    guard timestamps.count == 1, case let timestamp = String(decoding: timestamps[0].dropFirst(2), as: UTF8.self),
      let sentAt = SigningTime(timestamp)
    else { return .timestampInvalid }
    if let age = sentAt.excessiveAge(at: now) { return .timestampOff(seconds: age) }
    let codes = entries.filter { $0.starts(with: "v1=".utf8) }.prefix(Self.maximumSignatures)
      .compactMap { Self.code($0.dropFirst(3)) }
    // One HMAC is computed for each secret, not for each signature.
    let isSigned = !codes.isEmpty && secrets.contains { $0.signs(anyOf: codes, timestamp: timestamp, body: body) }
    return isSigned ? nil : .noSignatureFits
  }

  /// The code with these 64 digits. Nil for any other text, and for capital letters: Stripe sends none, and most of its
  /// libraries compare the text.
  private static func code(_ digits: Substring.UTF8View) -> Data? {
    guard digits.count == 64 else { return nil }
    var code = Data(capacity: 32)
    var rest = digits
    while let first = rest.popFirst(), let second = rest.popFirst() {
      guard let high = first.hexadecimalValue, let low = second.hexadecimalValue,
        first.lowercasedASCII == first, second.lowercasedASCII == second
      else { return nil }
      code.append(high << 4 | low)
    }
    return code
  }
}

extension StripeVerifier.Refusal: SignatureRefusal {
  var reason: String {
    switch self {
    case .headerMissing: "stripe_header_missing"
    case .timestampInvalid: "stripe_timestamp_invalid"
    case .timestampOff: "stripe_timestamp_off"
    case .noSignatureFits: "stripe_no_signature_fits"
    }
  }

  var detail: String {
    switch self {
    case .headerMissing: "The header Stripe-Signature is missing."
    case .timestampInvalid: "The header Stripe-Signature must have one t= with a time in Unix seconds."
    case .timestampOff(let seconds): SigningTime.detail("The t= of the header Stripe-Signature", isOff: seconds)
    case .noSignatureFits: "No v1= in the header Stripe-Signature matches the body and t=."
    }
  }
}
