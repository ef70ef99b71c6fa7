import Checkout
import Testing

/// Creates a key with the command, as an operator does.
///
/// - Returns: the key.
func createKey(_ name: String, _ scope: AdminScope, on database: String) async throws -> String {
  let result = try await flashsale(
    ["key", "create", "--name", name, "--scope", scope.rawValue], database: database)
  try #require(result.status == .exited(0) && result.output.count == 1, "\(result)")
  return result.output[0]
}

/// Signs in as a page of the server does.
///
/// - Returns: the value of the header `Cookie` for further requests.
func signIn(with key: String, on api: APIClient) async throws -> String {
  let answer = try await api.send(
    "POST", "/api/admin/session", #"{"key":"\#(key)"}"#, headers: ["origin": api.url], token: nil)
  try #require(answer.status == 201, "\(answer)")
  let cookie = try #require(answer.headers["set-cookie"]?.split(separator: ";").first)
  return String(cookie)
}
