import Postgres
import Telemetry

/// One value of a metric that is read at each scrape.
package struct Gauge: Sendable {
  package let metric: MetricDescription
  package let labels: [(String, String)]
  package let value: Double

  init(_ metric: MetricDescription, labels: [(String, String)] = [], _ value: Double) {
    self.metric = metric
    self.labels = labels
    self.value = value
  }
}

/// Reads the gauges of the stock, the jobs, the payments that wait for an operator, and the deliveries of events. One
/// query serves all requests that arrived since the last query started, so any client may ask.
struct ReadGauges: RepeatableUseCase {
  static let isRead = true

  typealias Outcome = [Gauge]

  enum Request { case all }
  func lane(of request: Request) -> Request { request }

  func execute(_ requests: [Request], lane: Request, on connection: isolated Connection) throws -> [[Gauge]] {
    let gauges = try connection.run(Statement())
    return requests.map { _ in gauges }
  }

  private struct Statement: PreparedStatement {
    static let name = "read_gauges"
    static let sql = "select * from flashsale.read_gauges()"

    func bind(to parameters: inout Parameters) {}

    static func decode(_ row: inout Row) throws -> Gauge {
      let name = try row.decode(String.self)
      guard let metric = MetricDescription.readFromDatabase.first(where: { $0.name == name }) else {
        throw UnknownValue(description: "\(name) is no metric")
      }
      var labels: [(String, String)] = []
      if let productID = try row.decodeIfPresent(Int32.self) { labels.append(("product_id", "\(productID)")) }
      if let verdict = try row.decodeIfPresent(String.self) { labels.append(("verdict", verdict)) }
      if let currency = try row.decodeIfPresent(String.self) { labels.append(("currency", currency)) }
      if let status = try row.decodeIfPresent(String.self) { labels.append(("status", status)) }
      return Gauge(metric, labels: labels, try row.decode(Double.self))
    }
  }
}
