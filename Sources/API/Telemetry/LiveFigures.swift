import Synchronization
import Time

/// Counts the responses of this server while an operator watches. While nobody watches, a response costs one load of a
/// flag.
///
/// The buckets of the metrics are too wide for this: their median could be any time between 1 and 2.5 ms.
final class LiveFigures: Sendable {
  /// The counts at one moment. Times without a watcher do not count.
  struct Reading: Sendable {
    let time: Moment
    /// The responses in each of the `LatencyBuckets`.
    let latencies: [Int64]
    let refusals: [Problem.Kind: Int64]

    var responses: Int64 { latencies.reduce(0, +) }
  }

  private final class Count: Sendable {
    private let value = Atomic<Int64>(0)

    var current: Int64 { value.load(ordering: .relaxed) }
    func increment() { value.wrappingAdd(1, ordering: .relaxed) }
  }

  private let flag = Atomic(false)
  private let latencies = (0..<LatencyBuckets.count).map { _ in Count() }
  private let refusals = Dictionary(uniqueKeysWithValues: Problem.Kind.allCases.map { ($0, Count()) })

  /// Whether responses are counted.
  var isCounting: Bool {
    get { flag.load(ordering: .relaxed) }
    set { flag.store(newValue, ordering: .relaxed) }
  }

  /// - Parameters:
  ///   - refusal: the problem that the response reports. Nil for a success.
  ///   - start: the time when the head of the request was complete.
  func record(_ refusal: Problem.Kind?, since start: Moment) {
    guard isCounting else { return }
    latencies[LatencyBuckets.index(ofNanoseconds: Moment.now.nanoseconds - start.nanoseconds)].increment()
    if let refusal { refusals[refusal]?.increment() }
  }

  func read() -> Reading {
    Reading(time: .now, latencies: latencies.map(\.current), refusals: refusals.mapValues(\.current))
  }
}

/// A histogram of durations. The width of a bucket is at most a sixteenth of its lower bound, so the error of a quantile
/// is about 3 %.
enum LatencyBuckets {
  /// Durations of 16 µs and more have 16 buckets for each doubling. The last bucket has all that take over two minutes.
  static let count = 384
  private static let perDoubling = 16
  private static let maximumMicroseconds: Int64 = 1 << 27 - 1

  static func index(ofNanoseconds duration: Int64) -> Int {
    let microseconds = min(max(0, duration / 1000), maximumMicroseconds)
    guard microseconds >= perDoubling else { return Int(microseconds) }
    let exponent = Int64.bitWidth - 1 - microseconds.leadingZeroBitCount
    return (exponent - 3) * perDoubling + Int(microseconds >> (exponent - 4)) & (perDoubling - 1)
  }

  /// The middle of the bucket that has the quantile, in milliseconds. Nil if all counts are zero.
  ///
  /// - Parameter quantile: more than 0 and at most 1.
  static func milliseconds(_ quantile: Double, of counts: [Int64]) -> Double? {
    let rank = max(1, Int64((Double(counts.reduce(0, +)) * quantile).rounded(.up)))
    var sum: Int64 = 0
    for (index, count) in counts.enumerated() {
      sum += count
      if sum >= rank { return middle(of: index) / 1000 }
    }
    return nil
  }

  /// In microseconds.
  private static func middle(of index: Int) -> Double {
    guard index >= perDoubling else { return Double(index) + 0.5 }
    let width = 1 << (index / perDoubling - 1)
    return (Double(perDoubling + index % perDoubling) + 0.5) * Double(width)
  }
}
