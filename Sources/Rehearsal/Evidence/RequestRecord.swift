/// A request of a buyer or of the payment provider, with all attempts to get its response.
package struct RequestRecord: Codable, Sendable {
  /// One time that the request was sent.
  package struct Attempt: Codable, Sendable {
    /// The time at which a connection was free, and the request was written.
    package var sent: Microseconds
    package var ended: Microseconds
    /// Nil if no complete response arrived.
    package var status: Int?
    /// The last segment of the problem's type.
    package var problem: String?
    /// Why no complete response arrived.
    package var lost: String?

    package init(sent: Microseconds, ended: Microseconds, status: Int?, problem: String? = nil, lost: String? = nil) {
      self.sent = sent
      self.ended = ended
      self.status = status
      self.problem = problem
      self.lost = lost
    }

    /// Whether the server decided the request. 429 and 5xx say that it did not, or that it does not know.
    package var isServed: Bool { status.map { $0 < 500 && $0 != 429 } ?? false }
  }

  package var buyer: Int
  package var template: RequestTemplate
  /// The hold in the path or body. For a payment event, the hold of the order.
  package var holdID: String?
  /// The order of a payment event.
  package var orderID: String?
  /// The amount of a payment event, in minor units.
  package var amount: Int?
  /// The time at which the request was due.
  package var intended: Microseconds
  /// The time at which the generator started the request. Later than `intended` if the generator was busy.
  package var started: Microseconds
  package var attempts: [Attempt] = []
  /// The final response. Nil if it did not become known.
  package var response: SaleResponse?

  package init(
    buyer: Int, template: RequestTemplate, holdID: String? = nil, orderID: String? = nil, amount: Int? = nil,
    intended: Microseconds, started: Microseconds
  ) {
    self.buyer = buyer
    self.template = template
    self.holdID = holdID
    self.orderID = orderID
    self.amount = amount
    self.intended = intended
    self.started = started
  }

  package var kind: RequestTemplate.Kind { template.kind }
  package var key: String? { template.key }

  /// The earliest time at which the request may have had an effect. `Microseconds.max` if it was never sent.
  var firstSent: Microseconds { attempts.first?.sent ?? .max }

  /// The time at which the final response had arrived. Nil if it did not become known.
  var answered: Microseconds? { response == nil ? nil : attempts.last?.ended }

  /// The time at which the attempt with the final response was sent.
  var lastSent: Microseconds { attempts.last?.sent ?? .max }

  /// The time from the intended start to the final response.
  package var latency: Microseconds? { answered.map { $0 - intended } }

  var isSuccess: Bool { response.map { 200...299 ~= $0.status } ?? false }

  /// Whether the request may have had an effect that no response has confirmed.
  var isUnknown: Bool { response == nil && !attempts.isEmpty }
}
