import Checkout

/// The body of `POST /api/holds`.
struct ReserveBody: RequestBody {
  let productID: Int32
  let quantity: Int32
  let customerID: String?
  let metadata: Metadata?

  enum Member: String, CaseIterable {
    case productID = "product_id"
    case customerID = "customer_id"
    case quantity
    /// Another name of `quantity`, which some clients use.
    case qty
    case metadata
  }

  init(from members: inout MemberReader<Member>) throws {
    let productID = members.positiveInteger(.productID)
    let quantity = members.positiveInteger(.quantity, or: .qty)
    customerID = members.ifPresent(.customerID) { $0.customerID($1) }
    metadata = members.ifPresent(.metadata) { $0.metadata($1) }
    (self.productID, self.quantity) = try members.require(productID, quantity)
  }
}

/// The body of `POST /api/products/{id}/holds`. The path names the product.
struct ReserveOfProductBody: RequestBody {
  let quantity: Int32
  let customerID: String?
  let metadata: Metadata?

  enum Member: String, CaseIterable {
    case customerID = "customer_id"
    case quantity
    case qty
    case metadata
  }

  init(from members: inout MemberReader<Member>) throws {
    let quantity = members.positiveInteger(.quantity, or: .qty)
    customerID = members.ifPresent(.customerID) { $0.customerID($1) }
    metadata = members.ifPresent(.metadata) { $0.metadata($1) }
    self.quantity = try members.require(quantity)
  }
}
