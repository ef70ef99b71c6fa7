@testable import API

extension Problem {
  /// What a validation's errors point at, as a client sees it.
  var pointers: [String] {
    guard case .bytes(let body) = response.body else { return [] }
    return String(buffer: body).matches(of: /"pointer":"([^"]*)"/).map { String($0.output.1) }
  }
}
