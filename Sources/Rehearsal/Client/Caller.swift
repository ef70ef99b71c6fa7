import NIOCore

/// Sends requests of the run itself from tasks: creating the product, reading the state, pausing.
///
/// A request is sent again until its response is final, because the server may just have been killed.
struct Caller: Sendable {
  let client: NIOLoopBound<LoadClient>
  let loop: any EventLoop

  /// The longest time until a response must be final.
  static let patience = Duration.seconds(30)

  struct Answer: Sendable {
    var sent: NIODeadline
    var ended: NIODeadline
    var response: HTTPResult.Response
  }

  /// - Throws: `RehearsalError` when no final response arrived within `patience`; `CancellationError`.
  func call(_ call: HTTPCall, patience: Duration = patience) async throws -> Answer {
    let deadline = ContinuousClock.now + patience
    var attempts = 0
    while true {
      attempts += 1
      let result = await attempt(call)
      let response = try? result.outcome.get()
      let delay = RetryPolicy.delay(
        afterAttempt: attempts, status: response?.status, retryAfterSeconds: response?.retryAfterSeconds)
      if let response, delay == nil { return Answer(sent: result.sent, ended: result.ended, response: response) }
      guard let delay, ContinuousClock.now + .microseconds(delay) < deadline else {
        throw RehearsalError("\(call.method) \(call.path): \(Self.reason(result))")
      }
      try await Task.sleep(for: .microseconds(delay))
    }
  }

  private static func reason(_ result: HTTPResult) -> String {
    switch result.outcome {
    case .success(let response): "the response is \(response.status)"
    case .failure(let lost): lost.description
    }
  }

  private func attempt(_ call: HTTPCall) async -> HTTPResult {
    await withCheckedContinuation { continuation in
      loop.execute { client.value.send(call) { continuation.resume(returning: $0) } }
    }
  }
}
