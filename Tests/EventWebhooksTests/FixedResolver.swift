import Addresses
import Synchronization

@testable import EventWebhooks

/// A resolver with the answers of a test. Each look-up of a name takes the next answer; the last one stays.
final class FixedResolver: NameResolver {
  private struct State {
    var answers: [String: [[IPAddress]]]
    var lookUps = 0
  }

  private let state: Mutex<State>

  init(_ answers: [String: [[String]]]) {
    state = Mutex(State(answers: answers.mapValues { $0.map { $0.map { IPAddress($0)! } } }))
  }

  var lookUps: Int { state.withLock { $0.lookUps } }

  func addresses(of name: String) async throws -> [IPAddress] {
    let answer = state.withLock { state -> [IPAddress]? in
      state.lookUps += 1
      guard let answers = state.answers[name], let first = answers.first else { return nil }
      if answers.count > 1 { state.answers[name]!.removeFirst() }
      return first
    }
    guard let answer else { throw EndpointRefusal.unknownName }
    return answer
  }
}
