@testable import API

extension Problem {
  /// The pointers in the errors of a validation problem, in the order of the response.
  var pointers: [String] {
    guard case .bytes(let body) = response.body else { return [] }
    return String(buffer: body).matches(of: /"pointer":"([^"]*)"/).map { String($0.output.1) }
  }
}
