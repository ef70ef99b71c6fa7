import Telemetry

/// All metrics of the checkout. docs/alerting.md describes the alerts.
extension MetricDescription {
  // MARK: Recorded by the server

  static let holds = MetricDescription("flashsale_holds_total", help: "Requests for a hold, by outcome.")
  static let orders = MetricDescription("flashsale_orders_total", help: "Requests for an order, by outcome.")
  static let paymentEvents = MetricDescription(
    "flashsale_payment_events_total", help: "Payment events, by verdict. replayed and key_reused had no effect.")
  static let refunds = MetricDescription("flashsale_refunds_total", help: "Refunds by operators, by outcome.")
  static let refundedAmount = MetricDescription(
    "flashsale_refunded_amount_total",
    help: "Money of orders that operators and the provider refunded, in minor units, by currency. "
      + "Refunds that were parked before are left out.")
  static let batchSize = MetricDescription(
    "flashsale_batch_size", help: "Requests in a batch, by use case.",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
  static let batchWait = MetricDescription(
    "flashsale_batch_wait_seconds", help: "How long a request waited for its batch to start, by use case.",
    buckets: [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])
  static let statementDuration = MetricDescription(
    "flashsale_statement_duration_seconds",
    help: "The round trip of a statement to the database, without the wait for a connection.",
    buckets: [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])
  static let jobs = MetricDescription("flashsale_jobs_total", help: "Jobs that this server has run.")
  static let jobsPutOff = MetricDescription(
    "flashsale_jobs_put_off_total", help: "Failures of jobs, from the fourth in a row on.")
  static let expiryLag = MetricDescription(
    "flashsale_expiry_lag_seconds", help: "How long after it was due a job that expires holds or orders started.",
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])

  // MARK: Read from the pool by a scrape

  static let databaseUp = MetricDescription(
    "flashsale_database_up", help: "1 if the database answered this scrape, 0 if not.")
  static let poolSize = MetricDescription("flashsale_pool_size", help: "The largest number of database connections.")
  static let poolInUse = MetricDescription("flashsale_pool_in_use", help: "Database connections in use.")
  static let poolWaiting = MetricDescription(
    "flashsale_pool_waiting", help: "Batches and calls that wait for a database connection.")

  // MARK: Read from the database by a scrape, with read_gauges()

  static let totalStock = MetricDescription(
    "flashsale_product_total_stock", help: "All units of a product. The first 1000 products only.")
  static let availableStock = MetricDescription(
    "flashsale_product_available_stock", help: "Units of a product that can be held. The first 1000 products only.")
  static let jobsDue = MetricDescription(
    "flashsale_jobs_due", help: "Jobs that are due and have not run.")
  static let jobLag = MetricDescription(
    "flashsale_jobs_oldest_lag_seconds", help: "How long the oldest due job has been due.")
  static let moneyEvents = MetricDescription(
    "flashsale_money_waiting_events", help: "Successful payments that wait for an operator, by verdict.")
  static let moneyAmount = MetricDescription(
    "flashsale_money_waiting_amount",
    help: "The sum of these payments in minor units, by verdict and currency. Unknown amounts are left out.")
  static let moneyAge = MetricDescription(
    "flashsale_money_waiting_oldest_seconds", help: "The age of the oldest of these payments, by verdict.")

  static let deliveriesPending = MetricDescription(
    "flashsale_event_deliveries_pending",
    help: "Deliveries of events that wait for enabled endpoints. At most 20000 of each are counted.")
  static let deliveriesAge = MetricDescription(
    "flashsale_event_deliveries_oldest_seconds", help: "How long an enabled endpoint waits for its oldest event.")
  static let endpoints = MetricDescription(
    "flashsale_webhook_endpoints", help: "Endpoints of events, by status.")

  static let readFromDatabase = [
    totalStock, availableStock, jobsDue, jobLag, moneyEvents, moneyAmount, moneyAge, deliveriesPending, deliveriesAge,
    endpoints,
  ]

  package static let checkout =
    [
      holds, orders, paymentEvents, refunds, refundedAmount, batchSize, batchWait, statementDuration, jobs, jobsPutOff,
      expiryLag, databaseUp, poolSize, poolInUse, poolWaiting,
    ] + readFromDatabase
}
