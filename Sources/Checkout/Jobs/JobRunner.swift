import Logging
import Postgres
import ServiceLifecycle

/// Expires holds and orders in time, and removes what is old, by the jobs in `scheduled_jobs`. Every server runs one; a
/// job goes to the worker that claims it first.
///
/// Nothing that clients are told depends on it: reads count lapsed holds as available, and reservations reclaim them.
///
/// Three workers share the jobs, so that none is late because of another product. The first one expires what is due.
/// When a call leaves work behind, a second one helps until nothing is due. The patient one retries jobs that failed,
/// mostly since a row of their product was locked, and removes what is old.
///
/// Between jobs they sleep until the earliest one is due. A server that makes a job due earlier than that announces it
/// with NOTIFY, after its commit and in a transaction of its own: a pending notification takes an instance-wide lock at
/// commit, which would make all sales wait for each other. When a notification is lost, polling finds the job.
struct JobRunner: Service {
  /// The longest sleep, and so the longest delay of a job whose announcement was lost.
  static let pollInterval: Duration = .seconds(1)

  /// The sleep when a job is due that another worker has. Whoever has it sets the time of the next.
  static let claimedPause: Duration = .milliseconds(50)

  /// The sleep of the helper, which the first worker wakes.
  static let helperPause: Duration = .seconds(60)

  /// A job that failed this often in a row, for 0.15 s, was not just in the way of a sale.
  static let failuresUntilStuck: Int32 = 4

  /// Of a job that is stuck, every so many failures are logged: one in ten seconds.
  static let failuresBetweenWarnings: Int32 = 20

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
  private let helperAlarm = Alarm()
  private let patientAlarm = Alarm()
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
        await alarm.nap(
          atMost: role == .helper
            ? Self.helperPause : rest > .zero ? min(rest, Self.pollInterval) : Self.claimedPause)
      } catch {
        // Once for each time the database goes away, not once a second.
        if !Task.isCancelled, !isFailing, role == .prompt {
          logger.warning("jobs cannot run", metadata: ["error": "\(error)"])
        }
        isFailing = true
        await alarm.nap(atMost: Self.pollInterval)
      }
    }
  }

  /// - Returns: how long until the next job is due, nil when there is none.
  private func runDueJobs(as role: Role) async throws -> Duration? {
    while true {
      let runs = try await database.transact(
        RunDueJobs(isPatient: role == .patient, batchSize: Self.batchSize, retention: retention))
      let jobs = runs.compactMap(\.job)
      if jobs.isEmpty { return runs.first?.untilNext }
      // A call ends before all is done.
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

  /// Also wakes the first worker each time listening begins, since nothing was heard before.
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
    /// How often in a row that was so.
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
