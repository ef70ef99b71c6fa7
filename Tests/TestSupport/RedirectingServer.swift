import Hummingbird
import Synchronization

/// A server that redirects every POST to another of its paths, and counts the redirected requests.
package final class RedirectingServer: Sendable {
  /// The base URL, without a path.
  package let url: String
  private let followers: Followers

  private final class Followers: Sendable {
    let count = Atomic(0)
  }

  private init(url: String, followers: Followers) {
    self.url = url
    self.followers = followers
  }

  /// The number of requests that followed a redirect.
  package var followerCount: Int { followers.count.load(ordering: .relaxed) }

  package static func withServer(
    _ body: @escaping @Sendable (RedirectingServer) async throws -> Void
  ) async throws {
    let followers = Followers()
    let router = Router()
    router.post("elsewhere") { _, _ in
      followers.count.add(1, ordering: .relaxed)
      return "thank you"
    }
    router.post("**") { _, _ in Response(status: .temporaryRedirect, headers: [.location: "/elsewhere"]) }
    try await withLocalServer(router) { url in
      try await body(RedirectingServer(url: url, followers: followers))
    }
  }
}
