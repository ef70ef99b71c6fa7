import Time

/// Waits until a condition is true. Checks it every 2 ms.
///
/// - Throws: ``Unexpected`` with `what` after 50 s.
package func until(_ what: String, _ condition: () async throws -> Bool) async throws {
  let deadline = Moment.now + .seconds(50)
  while try await !condition() {
    guard Moment.now < deadline else { throw Unexpected("not within 50 s: \(what)") }
    try await Task.sleep(for: .milliseconds(2))
  }
}
