import Addresses

/// Decides to which URLs a server sends events.
package struct EndpointPolicy: Sendable {
  /// Allow private addresses and `http`, for a receiver on the same machine or network.
  let allowsPrivate: Bool
  private let resolver: any NameResolver

  /// - Parameter allowsPrivate: false in production: whoever may create endpoints could otherwise reach the services of
  ///   the server's network.
  package init(allowsPrivate: Bool) {
    self.init(allowsPrivate: allowsPrivate, resolver: SystemResolver())
  }

  init(allowsPrivate: Bool, resolver: any NameResolver) {
    self.allowsPrivate = allowsPrivate
    self.resolver = resolver
  }

  /// Checks the URL of a new endpoint. It takes up to 5 s, because it resolves the name.
  ///
  /// This is a service to the operator, who learns of a mistake at once. The name may get other addresses later, so each
  /// connection checks again.
  ///
  /// - Returns: what is wrong, in words. Nil if events may be sent there, or if the name is not known yet.
  package func problem(with url: String) async -> String? {
    do {
      _ = try await addresses(of: EndpointAddress(url, allowsHTTP: allowsPrivate))
      return nil
    } catch let refusal as EndpointRefusal {
      return refusal.isTemporary ? nil : refusal.description
    } catch {
      return nil
    }
  }

  /// The addresses of an endpoint's host. All of them are allowed.
  ///
  /// One private address among public ones refuses the host. An honest name has no such addresses, and the next look-up
  /// may return them in another order.
  ///
  /// - Returns: at least one address.
  /// - Throws: `EndpointRefusal`, `CancellationError`.
  func addresses(of endpoint: EndpointAddress) async throws -> [IPAddress] {
    let found =
      if let literal = endpoint.literal { [literal] } else { try await resolver.addresses(of: endpoint.host) }
    guard allowsPrivate || found.allSatisfy(\.isPublic) else { throw EndpointRefusal.notPublic }
    return found
  }
}
