import CoreMetrics
import Synchronization

/// The values of one metric with one set of labels. Recording takes one or two atomic operations and no lock.
protocol Series: AnyObject, Sendable {
  func write(name: String, labels: String, into text: inout PrometheusText)
}

final class CounterSeries: Series, CounterHandler {
  private let value = Atomic<Int64>(0)

  func increment(by amount: Int64) {
    value.wrappingAdd(amount, ordering: .relaxed)
  }

  func reset() {
    value.store(0, ordering: .relaxed)
  }

  func write(name: String, labels: String, into text: inout PrometheusText) {
    text.add(name, labels: labels, Double(value.load(ordering: .relaxed)))
  }
}

/// A gauge, or a counter with a floating-point value.
final class FloatingPointSeries: Series, FloatingPointCounterHandler, MeterHandler, RecorderHandler {
  private let value = AtomicDouble()

  func increment(by amount: Double) { value.add(amount) }
  func decrement(by amount: Double) { value.add(-amount) }
  func set(_ value: Int64) { self.value.store(Double(value)) }
  func set(_ value: Double) { self.value.store(value) }
  func record(_ value: Int64) { set(value) }
  func record(_ value: Double) { set(value) }
  func reset() { value.store(0) }

  func write(name: String, labels: String, into text: inout PrometheusText) {
    text.add(name, labels: labels, value.load())
  }
}

/// A histogram. Durations are in seconds.
final class HistogramSeries: Series, RecorderHandler, TimerHandler {
  private final class Count: Sendable {
    let value = Atomic<Int64>(0)
  }

  /// The default bounds of buckets, for durations: 1 ms to 10 s.
  static let defaultBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

  private let bounds: [Double]
  /// The counts of values up to each bound and above the previous one, and of values above all bounds.
  private let counts: [Count]
  private let sum = AtomicDouble()

  init(bounds: [Double]?) {
    let bounds = bounds.flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultBounds
    self.bounds = bounds
    counts = (0...bounds.count).map { _ in Count() }
  }

  func record(_ value: Double) {
    var index = 0
    // There are few bounds and most values are small, so this is faster than a binary search.
    while index < bounds.count, value > bounds[index] { index += 1 }
    counts[index].value.wrappingAdd(1, ordering: .relaxed)
    sum.add(value)
  }

  func record(_ value: Int64) { record(Double(value)) }
  func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  func write(name: String, labels: String, into text: inout PrometheusText) {
    // The total is the sum of the buckets, so both agree even if other threads record values meanwhile.
    var total: Int64 = 0
    for (index, count) in counts.enumerated() {
      total += count.value.load(ordering: .relaxed)
      text.add(
        name, suffix: "_bucket", labels: labels, bound: index < bounds.count ? bounds[index] : .infinity, Double(total))
    }
    text.add(name, suffix: "_sum", labels: labels, sum.load())
    text.add(name, suffix: "_count", labels: labels, Double(total))
  }
}

/// A floating-point number with atomic addition.
final class AtomicDouble: Sendable {
  private let bits = Atomic<UInt64>(0)

  func load() -> Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
  func store(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  func add(_ amount: Double) {
    var current = bits.load(ordering: .relaxed)
    while true {
      let sum = (Double(bitPattern: current) + amount).bitPattern
      let (exchanged, original) = bits.weakCompareExchange(expected: current, desired: sum, ordering: .relaxed)
      if exchanged { return }
      current = original
    }
  }
}
