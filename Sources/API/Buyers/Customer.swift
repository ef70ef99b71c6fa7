/// The customer of a request, as far as the request proves it.
enum Customer: Sendable, Equatable {
  /// The server has no keys for customer tokens. It trusts the body.
  case trusted
  /// The `sub` of a valid token.
  case proven(String)
  /// The request has no token, and the server has keys.
  case unproven

  /// The id of the customer. Nil if the request has no customer.
  ///
  /// - Parameter claimed: the customer that the body names.
  /// - Throws: `Problem.customerTokenRequired` if the body names a customer and there is no token.
  ///   `Problem.validation` if it names another customer than the token.
  func id(claimed: String?) throws -> String? {
    switch self {
    case .trusted: return claimed
    case .proven(let id):
      guard claimed?.isVerbatim(id) != false else {
        throw Problem.validation("/customer_id", "must be the sub of the customer's token, or absent")
      }
      return id
    case .unproven:
      // Otherwise anybody could use up another customer's limit, or see the hold of another customer's key.
      guard claimed == nil else {
        throw Problem.customerTokenRequired("Only the customer's token can name a customer.")
      }
      return nil
    }
  }

  /// The refusal of a request without a customer, for a product with a limit per customer.
  var required: Problem {
    switch self {
    case .trusted: .validation("/customer_id", "is required, since this product has a limit per customer")
    case .proven, .unproven: .customerTokenRequired("This product has a limit per customer.")
    }
  }
}
