@testable import API

extension Problem {
  /// What a validation's errors point at, as a client sees it.
  var pointers: [String] {
    String(buffer: answer.body).matches(of: /"pointer":"([^"]*)"/).map { String($0.output.1) }
  }
}
