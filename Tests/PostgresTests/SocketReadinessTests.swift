import Dispatch
import Glibc
import Testing
import Time

@testable import Postgres

@Suite struct SocketReadinessTests {
  private let far = Moment.now + .seconds(20)

  @Test func `waiting ends when there is something to read`() async throws {
    let pair = try SocketPair()
    #expect(!isReadableNow(pair.one))
    DispatchQueue(label: "test").async { pair.write(to: pair.other) }
    #expect(waitUntilReady(pair.one, for: .readable, deadline: far) == .readable)
    #expect(isReadableNow(pair.one))
  }

  @Test func `waiting ends at the deadline`() throws {
    let pair = try SocketPair()
    let start = Moment.now
    #expect(waitUntilReady(pair.one, for: .readable, deadline: start + .milliseconds(20)).isEmpty)
    #expect(Moment.now - start >= .milliseconds(20))
    #expect(waitUntilReady(pair.one, for: .readable, deadline: start - .seconds(1)).isEmpty)
  }

  @Test func `a socket is writable until its buffer is full`() throws {
    let pair = try SocketPair()
    #expect(waitUntilReady(pair.one, for: [.readable, .writable], deadline: far) == .writable)
    pair.fill(pair.one)
    #expect(waitUntilReady(pair.one, for: [.readable, .writable], deadline: .now + .milliseconds(20)).isEmpty)
    pair.write(to: pair.other)
    #expect(waitUntilReady(pair.one, for: [.readable, .writable], deadline: far) == .readable)
    pair.drain(pair.other)
    #expect(waitUntilReady(pair.one, for: [.readable, .writable], deadline: far) == [.readable, .writable])
  }

  @Test func `a socket whose peer hung up is readable`() throws {
    let pair = try SocketPair()
    shutdown(pair.other, Int32(SHUT_RDWR))
    #expect(waitUntilReady(pair.one, for: .readable, deadline: far) == .readable)
    #expect(isReadableNow(pair.one))
    #expect(waitUntilReady(pair.one, for: .writable, deadline: far).contains(.readable), "also if not asked for")
  }

  @Test func `an invalid file descriptor is readable`() {
    #expect(waitUntilReady(.max, for: .writable, deadline: far) == .readable)
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
