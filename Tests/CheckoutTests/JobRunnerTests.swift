import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Checkout

@Suite struct JobRunnerTests {
  private static let id = "'00000001-6b02-8f00-9e3e-db626b23aa96'::uuid"

  @Test func holdsAndOrdersExpireByThemselves() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url, holdTimeToLive: .milliseconds(200), orderTimeToLive: .milliseconds(200)) {
        checkout, pool in
        let product = try await checkout.newProduct(stock: 5)
        let order = try await checkout.order(2, of: product)
        _ = try await checkout.hold(1, of: product)
        try await until("everything has expired") {
          try await pool.integer(
            """
            select (select count(*) from holds where status = 'active')
                 + (select count(*) from orders where status = 'pending_payment')
            """) == 0
        }
        #expect(try await checkout.order(order.id)?.status == .expired)
        #expect(try await pool.integer("select available_stock from products") == 5)
        try await until("no job is left") {
          try await pool.integer("select count(*) from scheduled_jobs where kind <> 'remove_old'") == 0
        }
        try await checkout.expectCleanAudit()
      }
    }
  }

  /// A buyer relies on a job that a worker, who cannot see the buyer's hold yet, is about to remove.
  @Test func aJobIsNotRemovedUnderABuyerWhoReliesOnIt() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 4)
      try await pool.run(
        """
        select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
        select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
        """)
      try await pool.holding("select reserve_holds(1, array[\(Self.id)], '{1}', 60000000, null, null, null)") {
        commit in
        async let worker: Void = pool.run("select run_next_job(10, \(retention))")
        try await pool.untilBlocked(1)
        try await commit()
        try await worker
      }
      #expect(try await pool.integer("select count(*) from holds where status = 'active'") == 1)
      #expect(try await Audit.run(on: pool).isClean)
      await pool.close()
    }
  }

  @Test func twoWorkersDoNotTakeTheSameJob() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 4)
      try await pool.run(
        """
        select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
        select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
        """)
      try await pool.holding("select run_next_job(10, \(retention))") { _ in
        // The other worker goes by the claimed job instead of waiting for it.
        let claimed = try await pool.integer(
          "select count(*) from run_next_job(10, \(retention)) where rows_done is not null")
        #expect(claimed == 0)
      }
      #expect(try await pool.integer("select available_stock from products") == 5)
      await pool.close()
    }
  }

  /// While another one has it.
  @Test func aWorkerDoesNotAskForAClaimedJobAgainAndAgain() async throws {
    final class Calls: Sendable {
      let count = Atomic(0)
    }
    try await TestDatabases.withDatabase { url in
      let configuration = ConnectionConfiguration(url: url)
      let pool = Pool(configuration, size: 2)
      try await pool.run(
        """
        select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
        select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
        """)
      try await pool.holding("select from scheduled_jobs for update") { _ in
        let calls = Calls()
        let database = Pool(configuration) { name, _ in
          if name == "run_next_job" { calls.count.wrappingAdd(1, ordering: .relaxed) }
        }
        let runner = JobRunner(
          database: database, listener: configuration, retention: Retention(), logger: Logger(label: "jobs"))
        let running = Task { await runner.run() }
        try await Task.sleep(for: .seconds(1))
        running.cancel()
        await running.value
        await database.close()
        let count = calls.count.load(ordering: .relaxed)
        #expect(1...40 ~= count, "\(count)")
      }
      await pool.close()
    }
  }

  /// It would be left alone for a while, as one that another worker has.
  @Test func aJobThatBecomesDueDuringTheCallIsNotTakenForAClaimedOne() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        do $$
        declare
            v_run record;
        begin
            for i in 1..400 loop
                insert into scheduled_jobs (kind, product_id, run_at)
                values ('expire_holds', 1, clock_timestamp() + (i % 500) * interval '1 microsecond');
                select * into v_run from run_next_job(10, \(retention));
                if v_run.kind is null and v_run.next_in_us <= 0 then
                    raise exception 'in % microseconds', v_run.next_in_us;
                end if;
                delete from scheduled_jobs;
            end loop;
        end
        $$
        """)
      await pool.close()
    }
  }

  /// Somebody has locked a lapsed hold for long. The jobs of other products go on, and that one is made up for.
  @Test func aJobThatIsHeldUpLetsOthersPass() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url, holdTimeToLive: .milliseconds(200)) { checkout, pool in
        @Sendable func count(_ status: String, of product: Product) async throws -> Int64 {
          try await pool.integer(
            "select count(*) from holds where product_id = \(product.id) and status = '\(status)'")
        }
        let stuck = try await checkout.newProduct(stock: 1)
        let hold = try await checkout.hold(1, of: stuck)
        try await pool.holding("select from holds where id = '\(hold.id.uuidText)' for update") { commit in
          let other = try await checkout.newProduct(stock: 1)
          _ = try await checkout.hold(1, of: other)
          try await until("the other hold has expired") { try await count("expired", of: other) == 1 }
          #expect(try await count("active", of: stuck) == 1)
          try await commit()
        }
        try await until("the hold has expired") { try await count("expired", of: stuck) == 1 }
        try await checkout.expectCleanAudit()
      }
    }
  }

  @Test func aJobThatTakesTooLongIsPutOffToo() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 3)
      try await pool.run(
        """
        select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
        select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
        """)
      try await pool.holding("select from holds for update") { _ in
        try await pool.withConnection { connection in
          try await connection.executeScript("set statement_timeout = '100ms'")
          try await connection.executeScript("select run_next_job(10, \(retention))")
        }
        let due = try await pool.integer(
          "select count(*) from scheduled_jobs where kind = 'expire_holds' and run_at <= clock_timestamp()")
        #expect(due == 0)
      }
      await pool.close()
    }
  }

  @Test func aBacklogIsWorkedOffInBatches() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 4)
      try await pool.run(
        """
        select create_product(1, 'Cap', 100, 'USD', 100, null, null, null, null);
        select reserve_holds(1, array(select gen_random_uuid() from generate_series(1, 25)), array_fill(1, '{25}'), 0, null, null, null);
        """)
      var expired: [Int64] = []
      while let count = try await pool.optionalInteger("select rows_done from run_next_job(10, \(retention))") {
        expired.append(count)
      }
      #expect(expired == [10, 10, 5])
      #expect(try await pool.integer("select available_stock from products") == 100)
      #expect(try await pool.integer("select count(*) from scheduled_jobs where kind <> 'remove_old'") == 0)
      await pool.close()
    }
  }

  /// Whoever shortens the time to live makes the job due earlier.
  @Test func aJobIsMovedForwardWhenSomethingLapsesEarlier() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 2)
      try await pool.run("select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null)")
      let reserve = "select is_rescheduled::int from reserve_holds(1, array[gen_random_uuid()], '{1}',"
      #expect(try await pool.integer("\(reserve) 60000000, null, null, null)") == 1)
      #expect(try await pool.integer("\(reserve) 60000000, null, null, null)") == 0)
      #expect(try await pool.integer("\(reserve) 1000000, null, null, null)") == 1)
      #expect(
        try await pool.integer(
          "select count(*) from scheduled_jobs where kind = 'expire_holds' and run_at <= now() + interval '1 s'") == 1)
      await pool.close()
    }
  }
}
