/// The time at which a sender signed an event, in Unix seconds.
struct SigningTime {
  /// The largest difference between this time and the server's clock, in seconds.
  ///
  /// An attacker can replay a captured event only during this time.
  static let toleranceSeconds: Int64 = 300

  private let seconds: Int64

  /// Nil unless the text is the shortest decimal form of a number. `+5` and `05` are nil.
  init?(_ text: String) {
    guard text.utf8.count <= 19, let seconds = Int64(text), seconds >= 0, String(seconds).isVerbatim(text) else {
      return nil
    }
    self.seconds = seconds
  }

  /// The age of an event that is too old or too new, in seconds. Negative if the time is in the future.
  ///
  /// - Parameter now: Unix seconds.
  /// - Returns: nil if the age is at most `toleranceSeconds` either way.
  func excessiveAge(at now: Int64) -> Int64? {
    // The sender may send any number, so the subtraction may overflow.
    let (age, overflow) = now.subtractingReportingOverflow(seconds)
    if overflow { return .min }
    return -Self.toleranceSeconds...Self.toleranceSeconds ~= age ? nil : age
  }

  /// What is wrong, for the sender.
  ///
  /// - Parameters:
  ///   - name: where the sender wrote the time.
  ///   - age: the result of `excessiveAge`.
  static func detail(_ name: String, isOff age: Int64) -> String {
    "\(name) is \(age.magnitude) s \(age > 0 ? "behind" : "ahead of") this server's clock; "
      + "at most \(toleranceSeconds) s are allowed."
  }
}
