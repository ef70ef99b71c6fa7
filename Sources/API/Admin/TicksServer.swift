import Glibc
import Synchronization
import Time

/// The figures of this server in a tick.
struct TicksServer: Sendable {
  /// Zero in the first tick after a time without a watcher. The same applies to `refusalsPerSecond`.
  let requestsPerSecond: Double
  /// Quantiles of the last ten seconds, in milliseconds. Nil without a response.
  let p50: Double?
  let p99: Double?
  /// The problems of the last ten seconds, by their slug.
  let refusalsPerSecond: [(name: String, value: Double)]

  /// The figures of the last seconds of a watch.
  struct Window {
    /// Ten seconds, and the reading before them.
    private static let capacity = 11
    private var readings: [LiveFigures.Reading] = []

    /// - Parameter reading: about a second after the last one.
    mutating func add(_ reading: LiveFigures.Reading) -> TicksServer {
      readings.append(reading)
      if readings.count > Self.capacity { readings.removeFirst() }
      let (first, last) = (readings[0], readings.count > 1 ? readings[readings.count - 2] : reading)
      let seconds = max((reading.time - last.time) / .seconds(1), 0.001)
      let latencies = zip(reading.latencies, first.latencies).map { $0 - $1 }
      func isRecent(_ kind: Problem.Kind) -> Bool { reading.refusals[kind] != first.refusals[kind] }
      return TicksServer(
        requestsPerSecond: Double(reading.responses - last.responses) / seconds,
        p50: LatencyBuckets.milliseconds(0.5, of: latencies), p99: LatencyBuckets.milliseconds(0.99, of: latencies),
        refusalsPerSecond: Problem.Kind.allCases.filter(isRecent).map { kind in
          (kind.rawValue, Double(reading.refusals[kind, default: 0] - last.refusals[kind, default: 0]) / seconds)
        })
    }
  }
}

/// What distinguishes this server from others of the shop.
final class ServerIdentity: Sendable {
  let startedAt: Timestamp
  /// The name of this machine.
  private let host: String
  private let port = Atomic(0)

  init(startedAt: Timestamp) {
    self.startedAt = startedAt
    // One more byte than the longest name, which then ends with a null byte in any case.
    var name = [UInt8](repeating: 0, count: Int(HOST_NAME_MAX) + 1)
    let isKnown = name.withUnsafeMutableBytes {
      gethostname($0.bindMemory(to: CChar.self).baseAddress!, Int(HOST_NAME_MAX)) == 0
    }
    host = isKnown ? String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) : "localhost"
  }

  /// The name of this machine and the port, such as `shop-1:8080`.
  var name: String { "\(host):\(port.load(ordering: .relaxed))" }

  /// Call it when the server listens.
  func listens(on port: Int) { self.port.store(port, ordering: .relaxed) }
}
