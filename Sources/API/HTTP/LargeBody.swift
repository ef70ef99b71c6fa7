/// The right of a request to have a larger body than others.
///
/// Anybody can send a body to such a route, because its signature is verified when all of it has arrived. Without a limit
/// on their number, thousands of connections could fill the memory.
struct LargeBody: Sendable {
  /// In bytes.
  let maximumBytes: Int
  /// Kept until the body has arrived and its route has the request.
  let place: Places.Place
}
