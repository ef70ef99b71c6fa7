/// Gets the outcome of a call, once, on any thread.
package typealias Completion<Value> = @Sendable (Result<Value, any Error>) -> Void

/// Waits for what a call gives to its completion.
func awaitCompletion<Value: Sendable>(_ call: (@escaping Completion<Value>) -> Void) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in call { continuation.resume(with: $0) } }
}
