/// The pauses between attempts to connect to a server that cannot be reached.
///
/// A pause is twice as long as the one before, up to a maximum. A random factor spreads the attempts of many clients
/// that lost the same server.
struct Backoff {
  static let base: Duration = .milliseconds(50)
  /// Limits the delay after the server is back.
  static let maximum: Duration = .seconds(1)

  private var attempts = 0

  /// - Returns: 25 ms to 1 s.
  mutating func next() -> Duration {
    let doubled = Self.base * (1 << min(attempts, 10))
    attempts += 1
    return min(doubled, Self.maximum) * Double.random(in: 0.5...1)
  }

  mutating func reset() {
    attempts = 0
  }
}
