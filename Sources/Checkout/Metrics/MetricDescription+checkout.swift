import Telemetry

/// Every metric of the checkout. docs/alerting.md says which of them to act upon.
extension MetricDescription {
  // MARK: Recorded as it happens

  static let holds = MetricDescription("flashsale_holds_total", help: "Attempts to hold units, by outcome.")
  static let orders = MetricDescription("flashsale_orders_total", help: "Attempts to order, by outcome.")
  static let paymentEvents = MetricDescription(
    "flashsale_payment_events_total", help: "Payment events, by verdict; replayed and key_reused had no effect.")
  static let batchSize = MetricDescription(
    "flashsale_batch_size", help: "Requests that shared a round trip to the database, by use case.",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
  static let batchWait = MetricDescription(
    "flashsale_batch_wait_seconds", help: "How long a request waited for its batch to start, by use case.",
    buckets: [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])
  static let statementDuration = MetricDescription(
    "flashsale_statement_duration_seconds",
    help: "A statement's round trip to the database, without waiting for a turn.",
    buckets: [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])
  static let jobs = MetricDescription("flashsale_jobs_total", help: "Jobs that this server has run.")
  static let jobsPutOff = MetricDescription(
    "flashsale_jobs_put_off_total", help: "Attempts at jobs that failed, from the fourth in a row on.")
  static let expiryLag = MetricDescription(
    "flashsale_expiry_lag_seconds", help: "How late after its time a job of expiry was begun.",
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])

  // MARK: Looked up when asked for

  static let databaseUp = MetricDescription(
    "flashsale_database_up", help: "1 if the database answered just now, 0 if not.")
  static let poolSize = MetricDescription("flashsale_pool_size", help: "Database connections at most.")
  static let poolInUse = MetricDescription("flashsale_pool_in_use", help: "Database connections that somebody uses.")
  static let poolWaiting = MetricDescription(
    "flashsale_pool_waiting", help: "Callers that wait for a database connection.")

  // MARK: Read from the database when asked for, by read_gauges()

  static let totalStock = MetricDescription(
    "flashsale_product_total_stock", help: "Units of the product, by id; the first 1000 products.")
  static let availableStock = MetricDescription(
    "flashsale_product_available_stock", help: "Units that can be held, by product; the first 1000 products.")
  static let jobsDue = MetricDescription(
    "flashsale_jobs_due", help: "Jobs whose time has come and that nobody has run.")
  static let jobLag = MetricDescription(
    "flashsale_jobs_oldest_lag_seconds", help: "How late the oldest job is that is due.")
  static let moneyEvents = MetricDescription(
    "flashsale_money_waiting_events", help: "Successful payments that somebody has to look after, by verdict.")
  static let moneyAmount = MetricDescription(
    "flashsale_money_waiting_amount",
    help: "Their sum in minor units, by verdict and currency; without those whose amount or currency is not known.")
  static let moneyAge = MetricDescription(
    "flashsale_money_waiting_oldest_seconds", help: "The age of the oldest of them, by verdict.")

  static let readFromDatabase = [
    totalStock, availableStock, jobsDue, jobLag, moneyEvents, moneyAmount, moneyAge,
  ]

  package static let checkout =
    [
      holds, orders, paymentEvents, batchSize, batchWait, statementDuration, jobs, jobsPutOff, expiryLag, databaseUp,
      poolSize, poolInUse, poolWaiting,
    ] + readFromDatabase
}
