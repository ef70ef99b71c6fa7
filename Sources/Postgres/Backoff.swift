/// The pause before the next attempt to reach a server that is away: doubled each time up to a bound, then a random part
/// of it, so that many servers that lost one database do not return in step.
struct Backoff {
  static let base: Duration = .milliseconds(50)
  /// Bounds how long service stays away after the database is back.
  static let maximum: Duration = .seconds(1)

  private var attempts = 0

  mutating func next() -> Duration {
    let doubled = Self.base * (1 << min(attempts, 10))
    attempts += 1
    return min(doubled, Self.maximum) * Double.random(in: 0.5...1)
  }

  mutating func reset() {
    attempts = 0
  }
}
