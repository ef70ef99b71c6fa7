import API
import Checkout
import Configuration
import Logging
import Foundation
import Postgres
import Secrets
import StandardWebhooks
import Telemetry

/// The settings of the program. A command-line option takes precedence over the environment variable of the same name.
///
/// A setting is read and checked at its use. If it is invalid, the method throws a `Failure` that names the setting.
struct Settings {
  private let reader: ConfigReader
  private let files = SecretFiles()

  /// - Parameter flags: values from the command line, by setting, such as `DATABASE_URL`.
  init(flags: [String: String?] = [:]) {
    let given = flags.compactMap { name, value in
      value.map { (AbsoluteConfigKey(Self.key(name)), ConfigValue(.string($0), isSecret: true)) }
    }
    reader = ConfigReader(providers: [
      InMemoryProvider(name: "flags", values: Dictionary(uniqueKeysWithValues: given)),
      EnvironmentVariablesProvider(),
    ])
  }

  /// The reader's key of a setting: `database.url` for `DATABASE_URL`.
  private static func key(_ name: String) -> ConfigKey {
    ConfigKey(name.lowercased().replacing("_", with: "."))
  }

  /// The value, without white space at either end. Editors and shells add white space.
  ///
  /// Nil when the setting is unset or empty, because a compose file passes an unset variable as an empty value.
  func string(_ name: String) -> String? {
    let value = reader.string(forKey: Self.key(name), isSecret: true)?.trimmingWhiteSpace()
    return value == "" ? nil : value
  }

  /// A secret, or a URL, which may contain a secret. The setting `name_FILE` can name a file with the value.
  ///
  /// Nil when neither setting is set.
  func secret(_ name: String) throws -> Secret? {
    let value = string(name)
    guard let path = string(name + "_FILE") else { return value.map { Secret($0) } }
    guard value == nil else { throw Failure("\(name) and \(name)_FILE are both set; set one of them") }
    return Secret(try files.text(at: path, from: name + "_FILE"))
  }

  /// A shorter token could be guessed.
  static let minimumTokenLength = 16

  /// The token that clients send as `Authorization: Bearer <token>`.
  private func bearerToken(_ name: String) throws -> Secret? {
    guard let token = try secret(name) else { return nil }
    let text = token.revealed()
    // Other characters than visible ASCII may change on their way through a header.
    guard text.utf8.allSatisfy({ 0x21...0x7e ~= $0 }), text.utf8.count >= Self.minimumTokenLength else {
      throw Failure(
        "\(name) must have at least \(Self.minimumTokenLength) characters, only visible ASCII without spaces; "
          + "`openssl rand -hex 16` makes a token")
    }
    return token
  }

  func integer(_ name: String, in range: ClosedRange<Int>, default fallback: Int) throws -> Int {
    guard let text = string(name) else { return fallback }
    guard let value = Int(text), range ~= value else {
      throw Failure("\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
    }
    return value
  }

  /// A duration in seconds. Fractions are allowed.
  private func seconds(
    _ name: String, upTo maximum: Double, default fallback: Duration, mayBeZero: Bool = false
  ) throws -> Duration {
    guard let text = string(name) else { return fallback }
    guard let value = Double(text), value > 0 || mayBeZero && value == 0, value <= maximum else {
      let minimum = mayBeZero ? "from" : "above"
      throw Failure("\(name) must be a number of seconds \(minimum) 0, at most \(Int(maximum)), not '\(text)'")
    }
    return .seconds(value)
  }

  // MARK: Settings

  private static let secondsPerDay = 86_400.0
  private static let longestRetention = 3650 * secondsPerDay

  /// Leaves `value` unchanged when the setting is unset.
  private func set(
    _ value: inout Duration, _ name: String, upTo maximum: Double, mayBeZero: Bool = false
  ) throws {
    value = try seconds(name, upTo: maximum, default: value, mayBeZero: mayBeZero)
  }

  private func set(_ value: inout Int, _ name: String, in range: ClosedRange<Int>) throws {
    value = try integer(name, in: range, default: value)
  }

  func database() throws -> ConnectionConfiguration {
    guard let url = try secret("DATABASE_URL") else {
      throw Failure(
        "DATABASE_URL is not set; set a URI such as postgresql://user:password@host/database, or run `flashsale demo`")
    }
    return try connection(to: url, from: "DATABASE_URL")
  }

  /// The database for LISTEN. A pooler in transaction mode does not support LISTEN.
  func listener() throws -> ConnectionConfiguration {
    let name = "LISTEN_DATABASE_URL"
    guard let url = try secret(name) else { return try database() }
    return try connection(to: url, from: name)
  }

  private func connection(to url: Secret, from name: String) throws -> ConnectionConfiguration {
    var configuration = ConnectionConfiguration.checkout(url: url)
    if let problem = configuration.urlProblem {
      throw Failure("\(name) is not a valid URI: \(problem); an example is postgresql://user:password@host/database")
    }
    configuration.usesNamedStatements = try boolean("DB_NAMED_STATEMENTS", default: true)
    return configuration
  }

  func boolean(_ name: String, default fallback: Bool) throws -> Bool {
    switch string(name) {
    case nil: fallback
    case "true", "on", "1": true
    case "false", "off", "0": false
    case let text?: throw Failure("\(name) must be true or false, not '\(text)'")
    }
  }

  func databaseConnections() throws -> Int {
    try integer("DB_CONNECTIONS", in: 1...Pool.maximumSize, default: Pool.defaultSize)
  }

  func checkout() throws -> Checkout.Configuration {
    var configuration = Checkout.Configuration(listener: try listener())
    try set(&configuration.holdTimeToLive, "HOLD_TTL_SECONDS", upTo: 30 * Self.secondsPerDay)
    try set(&configuration.orderTimeToLive, "ORDER_TTL_SECONDS", upTo: 30 * Self.secondsPerDay)
    try set(&configuration.retention.idempotencyKeys, "IDEMPOTENCY_KEY_TTL_SECONDS", upTo: Self.longestRetention)
    try set(&configuration.retention.holds, "HOLD_RETENTION_SECONDS", upTo: Self.longestRetention)
    try set(&configuration.retention.parkedEvents, "PARKED_EVENT_TTL_SECONDS", upTo: Self.longestRetention)
    try set(&configuration.maximumInFlight, "MAX_IN_FLIGHT", in: 1...1_000_000)
    let queueTimeout = Int(configuration.queueTimeout / .milliseconds(1))
    configuration.queueTimeout = .milliseconds(
      try integer("QUEUE_TIMEOUT_MS", in: 1...3_600_000, default: queueTimeout))
    return configuration
  }

  /// The servers' role, to which `migrate` gives access. Nil when the setting is unset.
  func serverRole() throws -> ServerRole? {
    try string("SERVER_ROLE").map { ServerRole(name: $0, password: try secret("SERVER_ROLE_PASSWORD")) }
  }

  /// - Parameters:
  ///   - allowsUnsigned: accept unsigned payment events if there is no secret. Otherwise a secret is required.
  ///   - isDemo: have pages by default, which play the payment provider, and refuse requests for other host names than
  ///     loopback names.
  func server(allowsUnsigned: Bool, isDemo: Bool = false) throws -> APIServer.Configuration {
    let secrets = try webhookSecrets()
    if secrets.isEmpty, !allowsUnsigned {
      throw Failure(
        "WEBHOOK_SECRETS is not set; set the payment provider's secret (whsec_...), or pass --unsigned-webhooks to "
          + "accept payment events from anybody")
    }
    var configuration = APIServer.Configuration(
      webhookVerifier: secrets.isEmpty ? nil : WebhookVerifier(secrets: secrets), adminToken: try adminToken())
    let stripeSecrets = try stripeWebhookSecrets()
    configuration.stripeVerifier = stripeSecrets.isEmpty ? nil : StripeVerifier(secrets: stripeSecrets)
    configuration.metricsToken = try bearerToken("METRICS_TOKEN")
    configuration.trustedProxies = try trustedProxies()
    configuration.sharing = try crossOriginSharing()
    configuration.customerTokens = try customerTokens()
    configuration.rateLimitPerClient = try rateLimitPerClient()
    configuration.endpointPolicy = try endpointPolicy(isDemo: isDemo)
    configuration.isForLoopbackNames = isDemo
    let pages = PageSettings(checkoutURL: try checkoutURL(), playsProvider: isDemo && secrets.isEmpty)
    if try boolean("PAGES", default: isDemo) { configuration.pages = pages }
    configuration.host = string("HOST") ?? configuration.host
    try set(&configuration.port, "PORT", in: 0...65535)
    try set(&configuration.maximumBodyBytes, "MAX_BODY_BYTES", in: 1024...(16 << 20))
    try set(&configuration.requestTimeout, "REQUEST_TIMEOUT_SECONDS", upTo: Self.secondsPerDay)
    try set(&configuration.idleTimeout, "IDLE_TIMEOUT_SECONDS", upTo: Self.secondsPerDay)
    try set(&configuration.shutdownDelay, "SHUTDOWN_DELAY_SECONDS", upTo: 3600, mayBeZero: true)
    try set(&configuration.maximumStreams, "MAX_STREAMS", in: 1...1_000_000)
    let sampling = try integer("ACCESS_LOG_SAMPLING", in: 1...1_000_000, default: 1)
    if try boolean("ACCESS_LOG", default: false) { configuration.accessLogSampling = sampling }
    return configuration
  }

  func adminToken() throws -> Secret? { try bearerToken("ADMIN_TOKEN") }

  /// The URL to which the pages send a buyer who pays.
  private func checkoutURL() throws -> String? {
    guard let text = try secret("CHECKOUT_URL")?.revealed() else { return nil }
    guard text.utf8.allSatisfy({ 0x21...0x7e ~= $0 }), let url = URL(string: text),
      ["http", "https"].contains(url.scheme?.lowercased()), url.host?.isEmpty == false, url.user == nil,
      1...65535 ~= url.port ?? 443
    else {
      throw Failure(
        "CHECKOUT_URL must be an absolute URL such as https://pay.example.com/start, in visible ASCII and without a "
          + "user name")
    }
    return text
  }

  func shutdownTimeout() throws -> Duration {
    try seconds("SHUTDOWN_TIMEOUT_SECONDS", upTo: 3600, default: .seconds(10))
  }

  /// Reads every setting of a server, so an invalid value is refused before the server changes anything.
  func validate(allowsUnsignedWebhooks: Bool) throws {
    _ = try server(allowsUnsigned: allowsUnsignedWebhooks)
    _ = try checkout()
    _ = try databaseConnections()
    _ = try shutdownTimeout()
    _ = try deliversEvents()
    _ = try endpointPolicy()
    _ = try metrics()
    _ = try tracing()
    _ = try logger()
  }

  // MARK: Observation

  func metrics() throws -> Bool {
    try boolean("METRICS", default: true)
  }

  /// The collector of spans, and the share of traces to record. Nil when no spans are sent.
  func tracing() throws -> (collector: SpanExporter.Collector, sampleRatio: Double)? {
    // Recording all traces costs about a tenth of the throughput. A sale has thousands of similar traces.
    let ratio = try fraction("TRACE_SAMPLE_RATIO", default: 0.01)
    let headers = try collectorHeaders()
    guard let endpoint = try secret("OTEL_EXPORTER_OTLP_ENDPOINT") else { return nil }
    guard let url = URL(string: endpoint.revealed()), ["http", "https"].contains(url.scheme),
      url.host?.isEmpty == false, url.user == nil, url.query == nil, url.fragment == nil
    else {
      throw Failure(
        "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://localhost:4318; credentials go into "
          + "OTEL_EXPORTER_OTLP_HEADERS")
    }
    let collector = SpanExporter.Collector(
      endpoint: endpoint.revealed(), serviceName: string("OTEL_SERVICE_NAME") ?? "flashsale", headers: headers)
    return (collector, ratio)
  }

  /// `name=value`, separated by commas, with percent-encoded values (OpenTelemetry, "Protocol Exporter").
  private func collectorHeaders() throws -> [(name: String, value: Secret)] {
    let name = "OTEL_EXPORTER_OTLP_HEADERS"
    guard let list = try secret(name) else { return [] }
    return try list.revealed().split(separator: ",").map { entry in
      let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let value = parts[1].trimmingWhiteSpace().removingPercentEncoding,
        value.utf8.allSatisfy({ 0x20...0x7e ~= $0 }),
        case let header = parts[0].trimmingWhiteSpace(), header.wholeMatch(of: Self.headerName) != nil
      else {
        throw Failure(
          "\(name) must be name=value, separated by commas, with percent-encoded values of printable ASCII")
      }
      return (header, Secret(value))
    }
  }

  /// A header's name is a token (RFC 9110, section 5.6.2).
  private static var headerName: Regex<Substring> { /[A-Za-z0-9!#$%&'*+.^_`|~-]+/ }

  private func fraction(_ name: String, default fallback: Double) throws -> Double {
    guard let text = string(name) else { return fallback }
    guard let value = Double(text), 0...1 ~= value else {
      throw Failure("\(name) must be a number from 0 to 1, not '\(text)'")
    }
    return value
  }

  func logger() throws -> Logger {
    let levels = Logger.Level.allCases.map(\.rawValue)
    let text = string("LOG_LEVEL") ?? Logger.Level.info.rawValue
    guard let level = Logger.Level(rawValue: text) else {
      throw Failure("LOG_LEVEL must be one of \(levels.joined(separator: ", ")), not '\(text)'")
    }
    let format = string("LOG_FORMAT") ?? "text"
    guard ["text", "json"].contains(format) else { throw Failure("LOG_FORMAT must be text or json, not '\(format)'") }
    var logger = Logger(label: "flashsale") { label -> any LogHandler in
      format == "json"
        ? JSONLogHandler(label: label, metadataProvider: .trace) as any LogHandler
        : StreamLogHandler(label: label, stream: LogStream(), metadataProvider: .trace)
    }
    logger.logLevel = level
    return logger
  }
}
