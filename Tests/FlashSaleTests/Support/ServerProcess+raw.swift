extension ServerProcess {
  /// Sends a request with exactly these header fields, besides `Host` and `Content-Length`, on a connection of its own.
  ///
  /// - Parameter line: the method and the path.
  func answer(to line: String, _ headers: [String] = [], body: String? = nil) async throws -> APIClient.Answer {
    let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
    let lines = ["\(line) HTTP/1.1", "Host: sale"] + headers + length + ["", body ?? ""]
    return try await RawConnection.with(port: port) { connection in
      try await connection.send(lines.joined(separator: "\r\n").utf8)
      return try await connection.answer()
    }
  }
}

extension APIClient {
  /// - Parameter limit: the product's `max_per_customer`.
  func createProduct(stock: Int, maximumPerCustomer limit: Int) async throws -> Int {
    let answer = try await send(
      "POST", "/api/admin/products",
      #"{"name":"Cap","price":500,"currency":"USD","total_stock":\#(stock),"max_per_customer":\#(limit)}"#)
    return try answer.decode(Product.self).id
  }
}
