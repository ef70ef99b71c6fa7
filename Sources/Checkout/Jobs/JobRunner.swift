import Logging
import Postgres
import ServiceLifecycle

/// Runs the jobs in `scheduled_jobs`: they expire holds and orders, and remove old rows. Every server has a job runner.
/// The worker that first claims a job runs it.
///
/// No response depends on the jobs. Reads count lapsed holds as available, and new holds reclaim them.
///
/// Three workers share the jobs, so that one product's job does not delay another's. The prompt worker runs expiry.
/// When it runs several jobs in a call, the helper also runs expiry until none is due. The patient worker retries
/// expiry that failed, usually because of a locked row, and runs removal.
///
/// The prompt and the patient worker sleep until the next job is due. A server that makes a job due earlier sends a
/// NOTIFY after its commit, in another transaction. A pending notification takes an instance-wide lock at commit, so
/// all sales would wait for each other. If a notification is lost, polling finds the job.
struct JobRunner: Service {
  /// The longest sleep of a worker. A job whose notification was lost runs at most this much later.
  static let pollInterval: Duration = .seconds(1)

  /// The sleep of a worker when another worker has claimed the job that is due. That worker reschedules the job.
  static let claimedPause: Duration = .milliseconds(50)

  /// The longest sleep of the helper. The prompt worker wakes it.
  static let helperPause: Duration = .seconds(60)

  /// A job is stuck after this many failures in a row, which take about 0.2 s. A sale locks its product only for
  /// milliseconds, so another session must have locked it.
  static let failuresUntilStuck: Int32 = 4

  /// One of this many failures of a stuck job is logged: about one in ten seconds.
  static let failuresBetweenWarnings: Int32 = 20

  /// The largest number of holds or orders that one transaction expires. Larger batches are faster, but buyers wait
  /// longer for the product's row.
  static let batchSize: Int32 = 2000

  static let channel = "scheduled_jobs"

  private let database: Pool
  private let listener: ConnectionConfiguration
  private let retention: Retention
  private let metrics: CheckoutMetrics?
  private let logger: Logger
  private let onStockChange: @Sendable (Int32) -> Void
  private let alarm = Alarm()
  private let helperAlarm = Alarm()
  private let patientAlarm = Alarm()
  /// Requests to send a NOTIFY. One notification serves all of them.
  private let announcements = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameter onStockChange: called after the commit of a job that returned units to the stock.
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

  /// Wakes the workers of all servers, because a job is due earlier than before. Returns at once. Call it after the
  /// commit.
  func announce() {
    alarm.ring()
    announcements.continuation.yield()
  }

  func run() async {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.work(.prompt, wokenBy: self.alarm) }
        group.addTask { await self.work(.helper, wokenBy: self.helperAlarm) }
        group.addTask { await self.work(.patient, wokenBy: self.patientAlarm) }
        group.addTask { await self.listen() }
        group.addTask { await self.sendAnnouncements() }
      }
    }
  }

  private enum Role {
    case prompt, helper, patient
  }

  private func work(_ role: Role, wokenBy alarm: Alarm) async {
    var isFailing = false
    while !Task.isCancelled {
      do {
        let untilNext = try await runDueJobs(as: role)
        isFailing = false
        let rest = untilNext ?? Self.pollInterval
        await alarm.wait(
          atMost: role == .helper
            ? Self.helperPause : rest > .zero ? min(rest, Self.pollInterval) : Self.claimedPause)
      } catch {
        // Log the first failure only. The next attempts follow every second.
        if !Task.isCancelled, !isFailing, role == .prompt {
          logger.warning("jobs cannot run", metadata: ["error": "\(error)"])
        }
        isFailing = true
        await alarm.wait(atMost: Self.pollInterval)
      }
    }
  }

  /// Runs due jobs until none is left for this role.
  ///
  /// - Returns: the time until the next job is due, zero or less when another worker has claimed it. Nil without a job.
  private func runDueJobs(as role: Role) async throws -> Duration? {
    while true {
      let runs = try await database.transact(
        RunDueJobs(isPatient: role == .patient, batchSize: Self.batchSize, retention: retention))
      let jobs = runs.compactMap(\.job)
      if jobs.isEmpty { return runs.first?.untilNext }
      // Several jobs were due, so more may be. A call ends after a short time.
      if role == .prompt, jobs.count > 1 { helperAlarm.ring() }
      for job in jobs { note(job) }
      if Task.isCancelled { return nil }
    }
  }

  private func note(_ job: Job) {
    guard let failure = job.failure else {
      if job.isStockChanged { onStockChange(job.productID) }
      metrics?.jobs.increment()
      if job.kind != "remove_old" { metrics?.expiryLag.record(job.late) }
      logger.debug("job done", metadata: ["kind": "\(job.kind)", "rows": "\(job.rowsDone)", "late": "\(job.late)"])
      return
    }
    patientAlarm.ring()
    guard job.failures >= Self.failuresUntilStuck else { return }
    metrics?.jobsPutOff.increment()
    if (job.failures - Self.failuresUntilStuck).isMultiple(of: Self.failuresBetweenWarnings) {
      logger.warning(
        "a job was put off", metadata: ["kind": "\(job.kind)", "product": "\(job.productID)", "error": "\(failure)"])
    }
  }

  /// Wakes the prompt worker for each notification, and whenever listening begins. Earlier notifications may be lost.
  private func listen() async {
    for await _ in NotificationListener(listener, channels: [Self.channel]) { alarm.ring() }
  }

  private func sendAnnouncements() async {
    for await _ in announcements.stream {
      do {
        _ = try await database.execute(Notify())
      } catch {
        logger.debug("jobs were not announced; polling will find them", metadata: ["error": "\(error)"])
      }
    }
  }

  /// The result of a job.
  private struct Job {
    let kind: String
    let productID: Int32
    /// The time from when the job was due to its start.
    let late: Duration
    /// The number of expired holds or orders, or of removed rows.
    let rowsDone: Int32
    let isStockChanged: Bool
    /// The error of a job that failed. The job then did nothing.
    let failure: String?
    /// The number of failures in a row.
    let failures: Int32
  }

  private struct RunDueJobs: PreparedStatement {
    static let name = "run_due_jobs"
    static let sql =
      "select * from flashsale.run_due_jobs($1::boolean, $2::integer, $3::bigint, $4::bigint, $5::bigint)"
    let isPatient: Bool
    let batchSize: Int32
    let retention: Retention

    func bind(to parameters: inout Parameters) {
      parameters.append(isPatient)
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
      let failures = try row.decodeIfPresent(Int32.self) ?? 0
      let untilNext = try row.decodeIfPresent(Int64.self).map { Duration.microseconds($0) }
      guard let kind, let productID, let late, let rowsDone, let isStockChanged else { return (nil, untilNext) }
      let job = Job(
        kind: kind, productID: productID, late: late, rowsDone: rowsDone, isStockChanged: isStockChanged,
        failure: failure, failures: failures)
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
