/// Runs the requests of a batch in which several may have the same key. A key has one effect.
///
/// Only the first request of a key runs. The same request under that key is a replay and shares its outcome. So a key
/// that is sent many times takes one place in the batch. Another request under the key is refused if the first request
/// took the key. Otherwise it waits for the next batch.
///
/// - Parameters:
///   - key: the request's idempotency key, with all that identifies it. Nil for a request without a key.
///   - asReplay: converts the outcome of the first request into the outcome of a replay.
///   - refusal: the outcome of another request under the key, by the outcome of the first one. Nil if that did not take
///     the key.
///   - execute: runs the requests with these indices. Returns one outcome for each, in the same order; nil for a
///     request that waits. The indices depend only on `requests`.
/// - Returns: one outcome for each request; nil for a request that waits.
func executeOncePerKey<Request: Equatable, Key: Hashable, Outcome>(
  _ requests: [Request], key: (Request) -> Key?, asReplay: (Outcome) -> Outcome,
  refusal: (Outcome) -> Outcome?, execute: ([Int]) throws -> [Outcome?]
) rethrows -> [Outcome?] {
  if requests.allSatisfy({ key($0) == nil }) { return try execute(Array(requests.indices)) }
  var firstByKey = [Key: Int](minimumCapacity: requests.count)
  /// For each request, the index of the request that runs for it.
  let leaders = requests.indices.map { index in
    guard let key = key(requests[index]) else { return index }
    if let first = firstByKey[key] { return first }
    firstByKey[key] = index
    return index
  }
  let chosen = requests.indices.filter { leaders[$0] == $0 }
  var outcomes = [Outcome?](repeating: nil, count: requests.count)
  for (index, outcome) in zip(chosen, try execute(chosen)) { outcomes[index] = outcome }
  for (index, leader) in leaders.enumerated() where index != leader {
    guard let outcome = outcomes[leader] else { continue }
    outcomes[index] = requests[index] == requests[leader] ? asReplay(outcome) : refusal(outcome)
  }
  return outcomes
}

extension Array {
  /// An optional text of each request, such as its idempotency key, as a parameter. Nil when no request has one, so the
  /// database does not look for any.
  func named(_ name: (Element) -> String?) -> [String?]? {
    let names = map(name)
    return names.allSatisfy { $0 == nil } ? nil : names
  }
}
