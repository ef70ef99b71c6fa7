import ArgumentParser

/// The options of commands that use the database.
struct DatabaseOptions: ParsableArguments {
  @Option(name: .customLong("database-url"), help: "libpq connection URI of the database. Environment: DATABASE_URL.")
  var databaseURL: String?
  @Option(
    name: .customLong("database-url-file"),
    help: "Path of a file with the connection URI. Environment: DATABASE_URL_FILE.")
  var databaseURLFile: String?

  var flags: [String: String?] { ["DATABASE_URL": databaseURL, "DATABASE_URL_FILE": databaseURLFile] }
  var settings: Settings { Settings(flags: flags) }
}

/// The options of `serve`. Each has a setting in the environment: `--hold-ttl-seconds` is `HOLD_TTL_SECONDS`.
struct ServerOptions: ParsableArguments {
  @OptionGroup var database: DatabaseOptions

  @Option(
    name: .customLong("listen-database-url"),
    help: "Connection URI for LISTEN, past a pooler that does not support it (default: the database's).")
  var listenDatabaseURL: String?
  @Option(name: .customLong("listen-database-url-file"), help: "Path of a file with the URI for LISTEN.")
  var listenDatabaseURLFile: String?
  @Option(name: .customLong("db-connections"), help: "Most connections for statements, 1 to 100 (default: 8).")
  var databaseConnections: String?
  @Option(
    name: .customLong("db-named-statements"),
    help: "false if a pooler does not support named prepared statements (default: true).")
  var databaseNamedStatements: String?
  @Option(help: "Name or address to listen on (default: 127.0.0.1).")
  var host: String?
  @Option(help: "Port to listen on, 0 to 65535; 0 means any free port (default: 8080).")
  var port: String?
  @Option(
    name: .customLong("hold-ttl-seconds"),
    help: "Seconds that a hold keeps its units, above 0, at most 2592000 (default: 120).")
  var holdTTLSeconds: String?
  @Option(
    name: .customLong("order-ttl-seconds"),
    help: "Seconds that an order waits for its payment, above 0, at most 2592000 (default: 900).")
  var orderTTLSeconds: String?
  @Option(
    name: .customLong("idempotency-key-ttl-seconds"),
    help: "Seconds that an idempotency key is remembered, 3600 to 315360000; less counts as 3600 (default: 259200).")
  var idempotencyKeyTTLSeconds: String?
  @Option(help: "Seconds that lapsed and released holds are kept, above 0, at most 315360000 (default: 604800).")
  var holdRetentionSeconds: String?
  @Option(
    name: .customLong("parked-event-ttl-seconds"),
    help: "Seconds that a parked event waits for its order, 3600 to 315360000; less counts as 3600 (default: 2592000).")
  var parkedEventTTLSeconds: String?
  @Option(help: "Secrets of the payment provider, whsec_<base64>, separated by commas.")
  var webhookSecrets: String?
  @Option(help: "Path of a file with the secrets.")
  var webhookSecretsFile: String?
  @Option(help: "Secrets of Stripe's endpoint, whsec_..., separated by commas; without them there is no such URL.")
  var stripeWebhookSecrets: String?
  @Option(help: "Path of a file with the secrets of Stripe's endpoints.")
  var stripeWebhookSecretsFile: String?
  @Option(help: "Bearer token of all admin requests, at least 16 characters; without it only keys admit operators.")
  var adminToken: String?
  @Option(help: "Path of a file with the admin token.")
  var adminTokenFile: String?
  @Option(help: "Bearer token of GET /metrics, at least 16 characters; without it no token is required.")
  var metricsToken: String?
  @Option(help: "Path of a file with the metrics token.")
  var metricsTokenFile: String?
  @Option(help: "true serves the pages for buyers and operators (default: false).")
  var pages: String?
  @Option(
    name: .customLong("checkout-url"),
    help: "URL to which the pages send a buyer who pays, with the order's id in order_id.")
  var checkoutURL: String?
  @Option(name: .customLong("checkout-url-file"), help: "Path of a file with that URL.")
  var checkoutURLFile: String?
  @Option(help: "Origins whose pages may read responses to buyers, separated by commas, or * for all.")
  var corsOrigins: String?
  @Option(
    help: "Keys of customer tokens, <kid>:<base64>, separated by commas; without them the body names the customer.")
  var customerTokenKeys: String?
  @Option(help: "Path of a file with the keys of customer tokens.")
  var customerTokenKeysFile: String?
  @Option(help: "Requests a second with which one client may change something, 0.1 to 1000000 (default: no limit).")
  var rateLimitPerClient: String?
  @Option(help: "Addresses or networks of proxies whose X-Forwarded headers are trusted, separated by commas.")
  var trustedProxies: String?
  @Option(help: "false if other servers send the events (default: true).")
  var eventWebhooks: String?
  @Option(help: "Most events that this server sends in a second, 20 to 100000 (default: 600).")
  var eventWebhooksPerSecond: String?
  @Option(help: "true sends events to private addresses and by http, too (default: false).")
  var eventWebhooksAllowPrivate: String?
  @Option(help: "Most bytes of a request body, 1024 to 16777216 (default: 16384).")
  var maxBodyBytes: String?
  @Option(help: "Most requests that wait for the database, 1 to 1000000 (default: 4096).")
  var maxInFlight: String?
  @Option(
    name: .customLong("queue-timeout-ms"),
    help: "Milliseconds that a request may wait for its batch, 1 to 3600000 (default: 1000).")
  var queueTimeoutMilliseconds: String?
  @Option(help: "Seconds that a request may take to arrive, above 0, at most 86400 (default: 10).")
  var requestTimeoutSeconds: String?
  @Option(help: "Seconds after which an idle connection is closed, above 0, at most 86400 (default: 60).")
  var idleTimeoutSeconds: String?
  @Option(help: "Most streams at the same time, 1 to 1000000; one address has at most a tenth (default: 10000).")
  var maxStreams: String?
  @Option(help: "Seconds to serve on after a stop signal, with /health/ready at 503, 0 to 3600 (default: 0).")
  var shutdownDelaySeconds: String?
  @Option(help: "Seconds that the shutdown may take after that delay, above 0, at most 3600 (default: 10).")
  var shutdownTimeoutSeconds: String?
  @Option(help: "Lowest level to log: trace, debug, info, notice, warning, error or critical (default: info).")
  var logLevel: String?
  @Option(help: "text, or json for one object a line (default: text).")
  var logFormat: String?
  @Option(help: "true logs one line at the end of each request (default: false).")
  var accessLog: String?
  @Option(help: "Log one of this many requests, 1 to 1000000 (default: 1).")
  var accessLogSampling: String?
  @Option(help: "false removes GET /metrics and its measurements (default: true).")
  var metrics: String?
  @Option(
    name: .customLong("otel-exporter-otlp-endpoint"),
    help: "URL of the OpenTelemetry collector for traces, such as http://localhost:4318.")
  var otelExporterOTLPEndpoint: String?
  @Option(name: .customLong("otel-exporter-otlp-endpoint-file"), help: "Path of a file with the collector's URL.")
  var otelExporterOTLPEndpointFile: String?
  @Option(
    name: .customLong("otel-exporter-otlp-headers"),
    help: "Headers for the collector, name=value with percent-encoded values, separated by commas.")
  var otelExporterOTLPHeaders: String?
  @Option(name: .customLong("otel-exporter-otlp-headers-file"), help: "Path of a file with the headers.")
  var otelExporterOTLPHeadersFile: String?
  @Option(help: "Name of the service in traces (default: flashsale).")
  var otelServiceName: String?
  @Option(help: "Share of the traces that start at this server to record, 0 to 1 (default: 0.01).")
  var traceSampleRatio: String?

  var settings: Settings {
    let flags: [String: String?] = [
      "LISTEN_DATABASE_URL": listenDatabaseURL,
      "LISTEN_DATABASE_URL_FILE": listenDatabaseURLFile,
      "DB_CONNECTIONS": databaseConnections,
      "DB_NAMED_STATEMENTS": databaseNamedStatements,
      "HOST": host,
      "PORT": port,
      "HOLD_TTL_SECONDS": holdTTLSeconds,
      "ORDER_TTL_SECONDS": orderTTLSeconds,
      "IDEMPOTENCY_KEY_TTL_SECONDS": idempotencyKeyTTLSeconds,
      "HOLD_RETENTION_SECONDS": holdRetentionSeconds,
      "PARKED_EVENT_TTL_SECONDS": parkedEventTTLSeconds,
      "WEBHOOK_SECRETS": webhookSecrets,
      "WEBHOOK_SECRETS_FILE": webhookSecretsFile,
      "STRIPE_WEBHOOK_SECRETS": stripeWebhookSecrets,
      "STRIPE_WEBHOOK_SECRETS_FILE": stripeWebhookSecretsFile,
      "ADMIN_TOKEN": adminToken,
      "ADMIN_TOKEN_FILE": adminTokenFile,
      "METRICS_TOKEN": metricsToken,
      "METRICS_TOKEN_FILE": metricsTokenFile,
      "PAGES": pages,
      "CHECKOUT_URL": checkoutURL,
      "CHECKOUT_URL_FILE": checkoutURLFile,
      "CORS_ORIGINS": corsOrigins,
      "CUSTOMER_TOKEN_KEYS": customerTokenKeys,
      "CUSTOMER_TOKEN_KEYS_FILE": customerTokenKeysFile,
      "RATE_LIMIT_PER_CLIENT": rateLimitPerClient,
      "TRUSTED_PROXIES": trustedProxies,
      "EVENT_WEBHOOKS": eventWebhooks,
      "EVENT_WEBHOOKS_ALLOW_PRIVATE": eventWebhooksAllowPrivate,
      "EVENT_WEBHOOKS_PER_SECOND": eventWebhooksPerSecond,
      "MAX_BODY_BYTES": maxBodyBytes,
      "MAX_IN_FLIGHT": maxInFlight,
      "QUEUE_TIMEOUT_MS": queueTimeoutMilliseconds,
      "REQUEST_TIMEOUT_SECONDS": requestTimeoutSeconds,
      "IDLE_TIMEOUT_SECONDS": idleTimeoutSeconds,
      "MAX_STREAMS": maxStreams,
      "SHUTDOWN_DELAY_SECONDS": shutdownDelaySeconds, "SHUTDOWN_TIMEOUT_SECONDS": shutdownTimeoutSeconds,
      "LOG_LEVEL": logLevel,
      "LOG_FORMAT": logFormat,
      "ACCESS_LOG": accessLog,
      "ACCESS_LOG_SAMPLING": accessLogSampling,
      "METRICS": metrics,
      "OTEL_EXPORTER_OTLP_ENDPOINT": otelExporterOTLPEndpoint,
      "OTEL_EXPORTER_OTLP_ENDPOINT_FILE": otelExporterOTLPEndpointFile,
      "OTEL_EXPORTER_OTLP_HEADERS": otelExporterOTLPHeaders,
      "OTEL_EXPORTER_OTLP_HEADERS_FILE": otelExporterOTLPHeadersFile,
      "OTEL_SERVICE_NAME": otelServiceName,
      "TRACE_SAMPLE_RATIO": traceSampleRatio,
    ]
    return Settings(flags: flags.merging(database.flags) { $1 })
  }
}
