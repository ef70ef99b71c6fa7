/// Waits for a value, at most for `limit`.
///
/// After the limit `read` goes on, because a batch cannot be cancelled. Its value is discarded.
///
/// - Returns: nil after the limit.
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
