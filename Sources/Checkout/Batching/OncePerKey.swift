/// Carries out requests that came together although several of them may have the same key: a key has one effect.
///
/// Each key is carried out once, for the first who sent it. Whoever sent the same request under the same key shares its
/// outcome, so that a key that is sent over and over takes one place in one batch. Another request under the key is refused
/// when the first one took the key, and waits for the next batch when it failed.
///
/// - Parameters:
///   - key: what the request's idempotency key is known by; nil for a request that stands for itself.
///   - asReplay: the outcome as told to those who share it.
///   - toOthers: what another request is told when this is the outcome of the first; nil when the key is not taken by it.
///   - execute: carries out some of the requests, given by their indices; one outcome a request, in the same order, nil for
///     one that waits. They are the same whenever the requests are.
/// - Returns: one outcome a request; nil for one that waits.
func executeOncePerKey<Request: Equatable, Key: Hashable, Outcome>(
  _ requests: [Request], key: (Request) -> Key?, asReplay: (Outcome) -> Outcome,
  toOthers: (Outcome) -> Outcome?, execute: ([Int]) throws -> [Outcome?]
) rethrows -> [Outcome?] {
  if requests.allSatisfy({ key($0) == nil }) { return try execute(Array(requests.indices)) }
  var firstByKey = [Key: Int](minimumCapacity: requests.count)
  /// For each request the one whose outcome it gets.
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
    outcomes[index] = requests[index] == requests[leader] ? asReplay(outcome) : toOthers(outcome)
  }
  return outcomes
}

extension Array {
  /// What each request of a batch names, such as its idempotency key, as a parameter: nil, which spares the database the
  /// look-up, when none names any.
  func named(_ name: (Element) -> String?) -> [String?]? {
    let names = map(name)
    return names.allSatisfy { $0 == nil } ? nil : names
  }
}
