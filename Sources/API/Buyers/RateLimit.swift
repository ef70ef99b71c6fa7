import Addresses
import Checkout
import Synchronization
import Time

/// Limits how often each client may change something. Each client has a bucket of tokens, and a request takes one.
///
/// A bucket is one number: the time when it is full again (the generic cell rate algorithm; ITU-T I.371, annex A). Each
/// request moves that time by the interval of one token. A request is refused if the time would be more than a full
/// bucket ahead.
///
/// The table has a fixed size, so it needs about 1 MB however many clients come. A client can be in one of eight places.
/// If all eight belong to others, the client replaces the one whose bucket is full soonest. That client begins again
/// with a full bucket, so it gains at most what it had used. It is never one that the limit refuses, unless the seven
/// others are refused, too. An attacker with enough addresses to fill the table has a full bucket for each address
/// anyway. No client is refused because the table is full.
final class RateLimit: Sendable {
  enum Client: Hashable {
    case customer(VerbatimText)
    case address(IPAddress)
    /// All connections without an IP address are one client.
    case unknown

    /// - Parameter address: the addresses of one customer of a provider are one client; see `IPAddress.client`.
    init(_ address: IPAddress?) {
      if let address { self = .address(address.client) } else { self = .unknown }
    }
  }

  /// The size of a bucket, as the time in which an empty one becomes full. With r requests a second, it is 10 r tokens.
  static let burst: Duration = .seconds(10)

  private static let placesOfClient = 8
  /// With so many locks, event loops rarely wait for each other.
  private static let maximumShardCount = 64

  private struct Place {
    /// A hash with a random seed, so a client cannot choose its place. Two clients have the same hash once in 2^64.
    var client = 0
    /// Nanoseconds of `Moment`.
    var fullAt = Int64.min
  }

  private final class Shard: Sendable {
    let places: Mutex<[Place]>

    init(count: Int) { places = Mutex(Array(repeating: Place(), count: count)) }
  }

  private let interval: Int64
  private let setCount: Int
  private let shards: [Shard]

  /// - Parameters:
  ///   - perSecond: the requests that a client may send in a second, in the long run; at least 0.1.
  ///   - capacity: the number of clients that the table remembers; a power of two, at least 8.
  init(perSecond: Double, capacity: Int = 65_536) {
    precondition(perSecond >= 0.1 && capacity >= Self.placesOfClient && capacity.nonzeroBitCount == 1)
    // Rounded down, so that a burst has its last token.
    interval = Int64(1e9 / perSecond)
    setCount = capacity / Self.placesOfClient
    let shardCount = min(Self.maximumShardCount, setCount)
    shards = (0..<shardCount).map { _ in Shard(count: capacity / shardCount) }
  }

  /// Takes a token of the client.
  ///
  /// - Returns: nil if the client may go on. Otherwise the time until its bucket has a token, and none is taken.
  func take(_ client: Client, at now: Moment = .now) -> Duration? {
    let hash = client.hashValue
    let set = hash & (setCount - 1)
    return shards[set % shards.count].places.withLock { places in
      let first = set / shards.count * Self.placesOfClient
      var index = first
      for place in first..<(first + Self.placesOfClient) {
        if places[place].client == hash {
          index = place
          break
        }
        if places[place].fullAt < places[index].fullAt { index = place }
      }
      let fullAt = places[index].client == hash ? places[index].fullAt : .min
      let next = max(fullAt, now.nanoseconds) + interval
      let excess = next - now.nanoseconds - Self.burstNanoseconds
      guard excess <= 0 else { return .nanoseconds(excess) }
      places[index] = Place(client: hash, fullAt: next)
      return nil
    }
  }

  private static let burstNanoseconds = Int64(burst / .nanoseconds(1))
}
