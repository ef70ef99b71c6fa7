import ArgumentParser

/// `--database-url`.
struct DatabaseOptions: ParsableArguments {
  @Option(name: .customLong("database-url"), help: "PostgreSQL connection URI. Environment: DATABASE_URL.")
  var databaseURL: String?
  @Option(name: .customLong("database-url-file"), help: "A file with that URI. Environment: DATABASE_URL_FILE.")
  var databaseURLFile: String?

  var flags: [String: String?] { ["DATABASE_URL": databaseURL, "DATABASE_URL_FILE": databaseURLFile] }
  var settings: Settings { Settings(flags: flags) }
}

/// The settings of a server as flags. The environment has the same names in capitals, with `_` for `-`.
struct ServerOptions: ParsableArguments {
  @OptionGroup var database: DatabaseOptions

  @Option(name: .customLong("listen-database-url"), help: "Where to LISTEN, if that is not where to query.")
  var listenDatabaseURL: String?
  @Option(name: .customLong("listen-database-url-file"), help: "A file with that URI.")
  var listenDatabaseURLFile: String?
  @Option(name: .customLong("db-connections"), help: "Database connections for statements at most.")
  var databaseConnections: String?
  @Option(name: .customLong("db-named-statements"), help: "false behind a pooler that cannot carry them.")
  var databaseNamedStatements: String?
  @Option(help: "Address to listen on.")
  var host: String?
  @Option(help: "Port to listen on.")
  var port: String?
  @Option(name: .customLong("hold-ttl-seconds"), help: "How long a hold keeps its units.")
  var holdTTLSeconds: String?
  @Option(name: .customLong("order-ttl-seconds"), help: "How long an order waits for its payment.")
  var orderTTLSeconds: String?
  @Option(name: .customLong("idempotency-key-ttl-seconds"), help: "How long an idempotency key is remembered.")
  var idempotencyKeyTTLSeconds: String?
  @Option(help: "How long lapsed and released holds are kept.")
  var holdRetentionSeconds: String?
  @Option(
    name: .customLong("parked-event-ttl-seconds"),
    help: "How long a payment event waits for an order that does not come.")
  var parkedEventTTLSeconds: String?
  @Option(help: "Secrets of the payment provider: whsec_..., comma-separated.")
  var webhookSecrets: String?
  @Option(help: "A file with them.")
  var webhookSecretsFile: String?
  @Option(help: "Bearer token of the admin calls, at least 16 characters; they are closed without one.")
  var adminToken: String?
  @Option(help: "A file with it.")
  var adminTokenFile: String?
  @Option(help: "Bearer token of /metrics, at least 16 characters; it is open without one.")
  var metricsToken: String?
  @Option(help: "A file with it.")
  var metricsTokenFile: String?
  @Option(help: "Proxies whose X-Forwarded-For tells a client's address: addresses or networks, comma-separated.")
  var trustedProxies: String?
  @Option(help: "Largest request body.")
  var maxBodyBytes: String?
  @Option(help: "Requests that may wait for the database at once.")
  var maxInFlight: String?
  @Option(name: .customLong("queue-timeout-ms"), help: "How long a request may wait for its turn.")
  var queueTimeoutMilliseconds: String?
  @Option(help: "How long a request may take to arrive.")
  var requestTimeoutSeconds: String?
  @Option(help: "A connection without a request for this long is closed.")
  var idleTimeoutSeconds: String?
  @Option(help: "Streams of stock at the same time; one address has a tenth of them at most.")
  var maxStreams: String?
  @Option(help: "How long to serve on, as not ready, when told to end.")
  var shutdownDelaySeconds: String?
  @Option(help: "How long shutting down may take after that.")
  var shutdownTimeoutSeconds: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel: String?
  @Option(help: "text, or json for one object a line.")
  var logFormat: String?
  @Option(help: "true logs one line for each request at its end.")
  var accessLog: String?
  @Option(help: "Log one request of so many.")
  var accessLogSampling: String?
  @Option(help: "false leaves out /metrics and what it shows.")
  var metrics: String?
  @Option(
    name: .customLong("otel-exporter-otlp-endpoint"),
    help: "OpenTelemetry collector to send spans to, such as http://localhost:4318.")
  var otelExporterOTLPEndpoint: String?
  @Option(name: .customLong("otel-exporter-otlp-endpoint-file"), help: "A file with that URL.")
  var otelExporterOTLPEndpointFile: String?
  @Option(
    name: .customLong("otel-exporter-otlp-headers"), help: "Headers for the collector: name=value, comma-separated.")
  var otelExporterOTLPHeaders: String?
  @Option(name: .customLong("otel-exporter-otlp-headers-file"), help: "A file with them.")
  var otelExporterOTLPHeadersFile: String?
  @Option(help: "What traces call this service.")
  var otelServiceName: String?
  @Option(help: "Part of the traces that begin here which is recorded, 0 to 1.")
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
      "ADMIN_TOKEN": adminToken,
      "ADMIN_TOKEN_FILE": adminTokenFile,
      "METRICS_TOKEN": metricsToken,
      "METRICS_TOKEN_FILE": metricsTokenFile,
      "TRUSTED_PROXIES": trustedProxies,
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
