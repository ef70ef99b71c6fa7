/// Receives the outcome or the error of a call. Called once, on any thread.
package typealias Completion<Value> = @Sendable (Result<Value, any Error>) -> Void

/// Returns or throws the result that a call passes to its completion.
func awaitCompletion<Value: Sendable>(_ call: (@escaping Completion<Value>) -> Void) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in call { continuation.resume(with: $0) } }
}
