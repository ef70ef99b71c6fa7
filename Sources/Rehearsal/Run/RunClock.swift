import NIOCore

/// Times of a run, in microseconds since its start.
struct RunClock: Sendable {
  let start: NIODeadline

  var now: Microseconds { time(.now()) }

  func time(_ deadline: NIODeadline) -> Microseconds { (deadline - start).nanoseconds / 1000 }

  func deadline(_ time: Microseconds) -> NIODeadline { start + .microseconds(time) }
}
