/// Carries out requests that came together although several of them may have the same key: a key has one effect.
///
/// A round has each key once. Requests without a key are all in the first. Whoever sent the same request under the same
/// key as one in the round shares its outcome, so that a key that is sent over and over takes one place in one batch.
/// Another request under the key waits for the next round, which finds the key taken, or free if the first one failed.
///
/// - Parameters:
///   - key: nil for a request that stands for itself.
///   - asReplay: the outcome as told to those who share it.
///   - execute: carries out a round of requests, given by their indices; one outcome a request, in the same order. The
///     rounds are the same whenever the requests are.
func executeInRounds<Request: Equatable, Outcome>(
  _ requests: [Request], key: (Request) -> String?, asReplay: (Outcome) -> Outcome,
  execute: ([Int]) throws -> [Outcome]
) rethrows -> [Outcome] {
  if requests.allSatisfy({ key($0) == nil }) { return try execute(Array(requests.indices)) }
  var outcomes = [Outcome?](repeating: nil, count: requests.count)
  var waiting = Array(requests.indices)
  while !waiting.isEmpty {
    var firstByKey: [String: Int] = [:]
    let round = waiting.filter { index in
      guard let key = key(requests[index]) else { return true }
      if firstByKey[key] != nil { return false }
      firstByKey[key] = index
      return true
    }
    let results = try execute(round)
    for (index, outcome) in zip(round, results) { outcomes[index] = outcome }
    waiting = waiting.filter { index in
      guard let first = key(requests[index]).flatMap({ firstByKey[$0] }), first != index else { return false }
      guard requests[index] == requests[first] else { return true }
      outcomes[index] = asReplay(outcomes[first]!)
      return false
    }
  }
  return outcomes.map { $0! }
}

extension Array {
  /// The idempotency keys of a batch as a parameter: nil, which spares the database the look-up, when none has one.
  func keys(_ key: (Element) -> String?) -> [String?]? {
    let keys = map(key)
    return keys.allSatisfy { $0 == nil } ? nil : keys
  }
}
