import Dispatch
import Glibc
import Testing

@testable import Postgres

@Suite struct SocketReadinessTests {
  private let queue = DispatchQueue(label: "test")

  @Test func returnsOnceThereIsSomethingToRead() async throws {
    let pair = try SocketPair()
    async let isReadable = waitUntilReady(.readable, descriptor: pair.one, deadline: .now() + 20, queue: queue)
    pair.write(to: pair.other)
    #expect(await isReadable)
  }

  @Test func returnsAtTheDeadline() async throws {
    let pair = try SocketPair()
    #expect(await !waitUntilReady(.readable, descriptor: pair.one, deadline: .now() + 0.02, queue: queue))
    #expect(await !waitUntilReady(.readable, descriptor: pair.one, deadline: .now() - 1, queue: queue))
  }

  @Test func emptyBufferIsWritableAndAFullOneIsNot() async throws {
    let pair = try SocketPair()
    #expect(await waitUntilReady(.writable, descriptor: pair.one, deadline: .now() + 20, queue: queue))
    pair.fill(pair.one)
    #expect(await !waitUntilReady(.writable, descriptor: pair.one, deadline: .now() + 0.02, queue: queue))
    pair.drain(pair.other)
    #expect(await waitUntilReady(.writable, descriptor: pair.one, deadline: .now() + 20, queue: queue))
  }

  @Test func hangUpIsReadable() async throws {
    let pair = try SocketPair()
    shutdown(pair.other, Int32(SHUT_RDWR))
    #expect(await waitUntilReady(.readable, descriptor: pair.one, deadline: .now() + 20, queue: queue))
  }

  /// libpq may close its socket and get the same number for the next one: what watched the first must have let go.
  @Test func numberOfAClosedDescriptorCanBeWatchedAgain() async throws {
    for _ in 0..<100 {
      let pair = try SocketPair()
      #expect(await waitUntilReady(.writable, descriptor: pair.one, deadline: .now() + 20, queue: queue))
    }
  }
}

private final class SocketPair: Sendable {
  let one: Int32
  let other: Int32

  init() throws {
    var descriptors: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &descriptors) == 0)
    (one, other) = (descriptors[0], descriptors[1])
  }

  deinit {
    close(one)
    close(other)
  }

  func write(to descriptor: Int32) { Glibc.write(descriptor, "x", 1) }

  func fill(_ descriptor: Int32) {
    let bytes = [UInt8](repeating: 0, count: 65_536)
    while Glibc.write(descriptor, bytes, bytes.count) > 0 {}
  }

  func drain(_ descriptor: Int32) {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while read(descriptor, &bytes, bytes.count) > 0 {}
  }
}
