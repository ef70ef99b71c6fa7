import Checkout
import FoundationEssentials
import Telemetry

/// Checks each request of a buyer that changes something, before its handler: the customer's token and the rate limit.
struct BuyerChecks: Sendable {
  private let tokens: CustomerTokens?
  private let limit: RateLimit?
  private let proxies: TrustedProxies
  private let refusals: CounterByLabel?

  private static let overLimit = "too_many_requests"

  /// - Parameters:
  ///   - tokens: with nil, `Authorization` is ignored and the body names the customer.
  ///   - limit: with nil, there is no limit.
  ///   - metrics: with nil, refusals are not counted.
  init(tokens: CustomerTokens?, limit: RateLimit?, proxies: TrustedProxies, metrics: MetricsRegistry?) {
    self.tokens = tokens
    self.limit = limit
    self.proxies = proxies
    refusals = metrics.map {
      CounterByLabel(
        .buyerRefusals, label: "reason", known: [Self.overLimit] + CustomerTokens.Refusal.allCases.map(\.rawValue),
        in: $0)
    }
  }

  /// The route, with these checks before its handler if they apply to it.
  func guarding(_ route: Route) -> Route {
    guard tokens != nil || limit != nil, route.audience == .buyers, !route.isSafe else { return route }
    return Route(
      route.method, route.path.text, for: route.audience,
      callback: { request, respond in
        var request = request
        request.customer = try check(request)
        try route.handle(request, respond)
      })
  }

  /// - Throws: a problem if the request is refused.
  private func check(_ request: Request) throws -> Customer {
    // A page of another site can make its visitors send forms. They must not use up the visitors' limits.
    if case .ofAnotherSite = request.bodyLabel, request.method == .POST { try request.bodyLabel.check() }
    var customer = Customer.trusted
    var refusal: CustomerTokens.Refusal?
    if let tokens {
      do throws(CustomerTokens.Refusal) {
        customer = try tokens.customer(
          of: request.headers.single(ofLowercased: "authorization"), at: Date().timeIntervalSince1970)
      } catch {
        refusal = error
      }
    }
    // Requests with an invalid token count, too. Their client is the address.
    if let wait = limit?.take(client(of: request, customer)) {
      refusals?.increment(Self.overLimit)
      throw Problem.tooManyRequests(retryIn: wait)
    }
    if let refusal {
      refusals?.increment(refusal.rawValue)
      throw refusal.problem
    }
    return customer
  }

  private func client(of request: Request, _ customer: Customer) -> RateLimit.Client {
    if case .proven(let id) = customer { return .customer(VerbatimText(id)) }
    return RateLimit.Client(proxies.client(of: request.headers, on: request.channel))
  }
}

extension Route {
  /// Whether a request of this route changes nothing (RFC 9110, section 9.2.1).
  fileprivate var isSafe: Bool {
    switch method {
    case .GET, .HEAD, .OPTIONS: true
    default: false
    }
  }
}
