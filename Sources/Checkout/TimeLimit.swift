/// Waits for a value, but no longer than a limit.
///
/// A batch cannot be cancelled, so the caller leaves and the batch ends by itself.
///
/// - Returns: nil when the limit is over first.
func withTimeLimit<Value: Sendable>(
  _ limit: Duration, _ read: @escaping @Sendable () async -> Value
) async -> Value? {
  let (values, value) = AsyncStream.makeStream(of: Value?.self, bufferingPolicy: .bufferingOldest(1))
  Task { value.yield(await read()) }
  let timer = Task {
    try? await Task.sleep(for: limit)
    value.yield(nil)
  }
  defer { timer.cancel() }
  for await first in values { return first }
  return nil
}
