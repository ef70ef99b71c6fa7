import Logging
import Postgres
import ServiceLifecycle

/// Expires holds and orders in time, and removes what is old, by the jobs in `scheduled_jobs`. Every server runs one; a
/// job goes to whoever claims it first.
///
/// Nothing that clients are told depends on it: reads count lapsed holds as available, and reservations reclaim them.
///
/// Between jobs it sleeps until the earliest one is due. A server that makes a job due earlier than that announces it
/// with NOTIFY, after its commit and in a transaction of its own: a pending notification takes an instance-wide lock at
/// commit, which would make all sales wait for each other. When a notification is lost, polling finds the job.
struct JobRunner: Service {
  /// The longest sleep, and so the longest delay of a job whose announcement was lost.
  static let pollInterval: Duration = .seconds(1)

  /// The sleep when a job is due that another worker has. Whoever has it sets the time of the next.
  static let claimedPause: Duration = .milliseconds(50)

  /// Holds or orders that one transaction expires: enough to be fast, few enough not to keep buyers waiting for the
  /// product's row.
  static let batchSize: Int32 = 2000

  static let channel = "scheduled_jobs"

  private let database: Pool
  private let listener: ConnectionConfiguration
  private let retention: Retention
  private let metrics: CheckoutMetrics?
  private let logger: Logger
  private let onStockChange: @Sendable (Int32) -> Void
  private let alarm = Alarm()
  /// Announcements not yet sent; one stands for all.
  private let announcements = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameter onStockChange: called after a transaction that gave units back.
  init(
    database: Pool, listener: ConnectionConfiguration, retention: Retention, metrics: CheckoutMetrics? = nil,
    logger: Logger, onStockChange: @escaping @Sendable (_ productID: Int32) -> Void = { _ in }
  ) {
    self.database = database
    self.listener = listener
    self.retention = retention
    self.metrics = metrics
    self.logger = logger
    self.onStockChange = onStockChange
  }

  /// Tells all servers that a job is due earlier than they may expect. Returns at once; to be called after the commit.
  func announce() {
    alarm.ring()
    announcements.continuation.yield()
  }

  func run() async {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.work() }
        group.addTask { await self.listen() }
        group.addTask { await self.sendAnnouncements() }
      }
    }
  }

  private func work() async {
    var isFailing = false
    while !Task.isCancelled {
      do {
        let untilNext = try await runDueJobs()
        isFailing = false
        let rest = untilNext ?? Self.pollInterval
        await alarm.nap(atMost: rest > .zero ? min(rest, Self.pollInterval) : Self.claimedPause)
      } catch {
        // Once for each time the database goes away, not once a second.
        if !Task.isCancelled, !isFailing { logger.warning("jobs cannot run", metadata: ["error": "\(error)"]) }
        isFailing = true
        await alarm.nap(atMost: Self.pollInterval)
      }
    }
  }

  /// - Returns: how long until the next job is due, nil when there is none.
  private func runDueJobs() async throws -> Duration? {
    while true {
      let run = try await database.transact(RunNextJob(batchSize: Self.batchSize, retention: retention))[0]
      guard let job = run.job else { return run.untilNext }
      if let failure = job.failure {
        logger.warning(
          "a job was put off", metadata: ["kind": "\(job.kind)", "product": "\(job.productID)", "error": "\(failure)"])
        metrics?.jobsPutOff.increment()
        continue
      }
      if job.isStockChanged { onStockChange(job.productID) }
      metrics?.jobs.increment()
      if job.kind != "remove_old" { metrics?.expiryLag.record(job.late) }
      logger.debug("job done", metadata: ["kind": "\(job.kind)", "rows": "\(job.rowsDone)", "late": "\(job.late)"])
      if Task.isCancelled { return nil }
    }
  }

  /// Also wakes the worker each time listening begins, since nothing was heard before.
  private func listen() async {
    for await _ in NotificationListener(listener, channels: [Self.channel]) { alarm.ring() }
  }

  private func sendAnnouncements() async {
    for await _ in announcements.stream {
      do {
        _ = try await database.execute(Notify())
      } catch {
        logger.debug("an announcement was lost; polling makes up for it", metadata: ["error": "\(error)"])
      }
    }
  }

  /// What a job did.
  private struct Job {
    let kind: String
    let productID: Int32
    /// How long after its time it started.
    let late: Duration
    /// Holds or orders that it expired, or rows that it removed.
    let rowsDone: Int32
    let isStockChanged: Bool
    /// Why nothing was done.
    let failure: String?
  }

  private struct RunNextJob: PreparedStatement {
    static let name = "run_next_job"
    static let sql = "select * from flashsale.run_next_job($1::integer, $2::bigint, $3::bigint, $4::bigint)"
    let batchSize: Int32
    let retention: Retention

    func bind(to parameters: inout Parameters) {
      parameters.append(batchSize)
      parameters.append(Int64(retention.idempotencyKeys / .microseconds(1)))
      parameters.append(Int64(retention.holds / .microseconds(1)))
      parameters.append(Int64(retention.parkedEvents / .microseconds(1)))
    }

    static func decode(_ row: inout Row) throws -> (job: Job?, untilNext: Duration?) {
      let kind = try row.decodeIfPresent(String.self)
      let productID = try row.decodeIfPresent(Int32.self)
      let late = try row.decodeIfPresent(Int64.self).map { Duration.microseconds($0) }
      let rowsDone = try row.decodeIfPresent(Int32.self)
      let isStockChanged = try row.decodeIfPresent(Bool.self)
      let failure = try row.decodeIfPresent(String.self)
      let untilNext = try row.decodeIfPresent(Int64.self).map { Duration.microseconds($0) }
      guard let kind, let productID, let late, let rowsDone, let isStockChanged else { return (nil, untilNext) }
      let job = Job(
        kind: kind, productID: productID, late: late, rowsDone: rowsDone, isStockChanged: isStockChanged,
        failure: failure)
      return (job, untilNext)
    }
  }

  private struct Notify: PreparedStatement {
    static let name = "announce_jobs"
    static let sql = "select 1 from pg_notify('\(JobRunner.channel)', '')"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }
}
