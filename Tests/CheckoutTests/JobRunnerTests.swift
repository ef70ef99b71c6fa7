import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Checkout

@Suite struct JobRunnerTests {
  private static let id = "'00000001-6b02-8f00-9e3e-db626b23aa96'::uuid"

  @Test(.checkout(holdTimeToLive: .seconds(3), orderTimeToLive: .milliseconds(200)))
  func `workers expire lapsed holds and unpaid orders`() async throws {
    let (checkout, pool) = TestCheckout.current
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

  /// A worker that does not see the buyer's hold must not remove the hold's job:
  ///
  ///     buyer:  makes a hold, finds a job, has not committed
  ///     worker: finds no other active hold, removes the job
  ///     buyer:  commits; no job expires the hold
  ///
  /// In the second case the worker has nothing to expire, so it does not wait for the product's row.
  @Test(
    .database,
    arguments: [
      "select 1", "update holds set status = 'released'; update products set available_stock = 5",
    ])
  func `a job is not removed while a buyer relies on it`(meanwhile: String) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
      select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
      \(meanwhile)
      """)
    try await pool.holding("select reserve_holds(1, array[\(Self.id)], '{1}', 60000000, null, null, null)") {
      _ in
      // The worker cannot lock the product's jobs. It does not wait for long, and postpones the job.
      try await pool.run("select \(dueJobs())")
    }
    #expect(try await pool.integer("select failures from scheduled_jobs where kind = 'expire_holds'") == 1)
    try await pool.run("update scheduled_jobs set retry_at = run_at where failures > 0")
    try await pool.run("select \(dueJobs(isPatient: true))")
    #expect(try await pool.integer("select count(*) from holds where status = 'active'") == 1)
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }

  @Test(.database) func `two workers do not claim the same job`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
      select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
      """)
    try await pool.holding("select \(dueJobs())") { _ in
      // The other worker skips the claimed job, and does not wait for it.
      let claimed = try await pool.integer(
        "select count(*) from \(dueJobs()) where rows_done is not null")
      #expect(claimed == 0)
    }
    #expect(try await pool.integer("select available_stock from products") == 5)
    await pool.close()
  }

  @Test func `a worker rarely polls for a job that another worker has claimed`() async throws {
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
          if name == "run_due_jobs" { calls.count.wrappingAdd(1, ordering: .relaxed) }
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

  /// Otherwise the worker would not look at the job again for a while.
  @Test(.database) func `a job that becomes due during the call is not skipped as claimed`() async throws {
    let url = TestDatabase.url
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
              select * into v_run from \(dueJobs());
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

  /// Another session has locked a lapsed hold. The hold is expired after the unlock.
  @Test(.checkout) func `a job that waits for a lock does not delay other products`() async throws {
    let (checkout, pool) = TestCheckout.current
    @Sendable func count(_ status: String, of product: Product) async throws -> Int64 {
      try await pool.integer(
        "select count(*) from holds where product_id = \(product.id) and status = '\(status)'")
    }
    let stuck = try await checkout.newProduct(stock: 1)
    let other = try await checkout.newProduct(stock: 1)
    let hold = try await checkout.hold(1, of: stuck)
    _ = try await checkout.hold(1, of: other)
    // Their jobs are due in two minutes, so no worker expires them before the lock.
    try await pool.run("update holds set expires_at = clock_timestamp()")
    try await pool.holding("select from holds where id = '\(hold.id.uuidText)' for update") { commit in
      try await pool.run("update scheduled_jobs set run_at = clock_timestamp() where kind = 'expire_holds'")
      try await until("the other hold has expired") { try await count("expired", of: other) == 1 }
      #expect(try await count("active", of: stuck) == 1)
      try await commit()
    }
    try await until("the hold has expired") { try await count("expired", of: stuck) == 1 }
    try await checkout.expectCleanAudit()
  }

  @Test(.database) func `a job that exceeds the statement timeout is postponed`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 3)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
      select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
      """)
    try await pool.run(
      """
      create function public.dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(10); end $$;
      create trigger dawdle before update on holds for each statement execute function public.dawdle();
      """)
    try await pool.withConnection { connection in
      try await connection.executeScript("set statement_timeout = '100ms'; select \(dueJobs())")
    }
    #expect(try await pool.integer("select failures from scheduled_jobs where kind = 'expire_holds'") == 1)
    #expect(try await pool.integer("select count(*) from holds where status = 'active'") == 1)
    await pool.close()
  }

  @Test(.database) func `a worker expires a backlog in batches`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 100, null, null, null, null);
      select reserve_holds(1, array(select gen_random_uuid() from generate_series(1, 25)), array_fill(1, '{25}'), 0, null, null, null);
      """)
    var expired: [Int64] = []
    while let count = try await pool.optionalInteger("select rows_done from \(dueJobs())") {
      expired.append(count)
    }
    #expect(expired == [10, 10, 5])
    #expect(try await pool.integer("select available_stock from products") == 100)
    #expect(try await pool.integer("select count(*) from scheduled_jobs where kind <> 'remove_old'") == 0)
    await pool.close()
  }

  /// This happens when an operator shortens the time to live.
  @Test(.database) func `a job becomes due earlier when a hold lapses earlier`() async throws {
    let url = TestDatabase.url
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

  /// Orders of 1,506 products are due at the same instant, and the rows of six products are locked. The jobs of the six are
  /// done once their rows are unlocked.
  @Test(.database) func `jobs of 1,500 products are done while six other products are locked`() async throws {
    let url = TestDatabase.url
    var configuration = ConnectionConfiguration(url: url)
    configuration.idleInTransactionTimeout = .seconds(60)
    let pool = Pool(configuration, size: 1)
    try await pool.run(
      """
      insert into products (id, name, price, currency, total_stock, available_stock)
      select n, 'Cap', 100, 'USD', 5, 4 from generate_series(1, 1506) n;
      insert into ordered_stock (product_id, units) select id, 1 from products;
      insert into holds (product_id, id, quantity, status, expires_at)
      select id, gen_random_uuid(), 1, 'ordered', now() from products;
      insert into orders (product_id, id, quantity, amount, currency, payment_due_at, created_at)
      select product_id, id, 1, 100, 'USD', now(), now() from holds;
      """)
    try await pool.holding("select from products where id <= 6 for update") { unlock in
      try await withCheckout(on: url) { checkout, pool in
        try await pool.run(
          """
          do $$
          declare
              v_due constant timestamptz := clock_timestamp();
          begin
              update orders set payment_due_at = v_due;
              insert into scheduled_jobs (product_id, kind, run_at) select id, 'expire_orders', v_due from products;
          end
          $$
          """)
        try await until("the orders of 1,500 products have expired") {
          try await pool.integer("select count(*) from orders where status = 'expired'") == 1500
        }
        #expect(
          try await pool.integer("select count(*) from orders where product_id <= 6 and status = 'expired'") == 0)
        try await unlock()
        try await until("all have expired") {
          try await pool.integer("select count(*) from orders where status = 'expired'") == 1506
        }
        try await until("no job is left") {
          try await pool.integer("select count(*) from scheduled_jobs where kind <> 'remove_old'") == 0
        }
        try await checkout.expectCleanAudit()
      }
    }
    await pool.close()
  }

  /// Prompt workers run due jobs. Patient workers retry failed jobs and remove old rows.
  @Test(.database) func `a prompt worker leaves a failed job to a patient worker`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 3)
    try await pool.run(Self.twoLapsedProducts)
    try await pool.holding("select from products where id = 1 for update") { _ in
      // A call ends early on a busy machine.
      try await until("the second product is expired") {
        try await pool.run("select \(dueJobs())")
        return try await pool.integer("select available_stock from products where id = 2") == 5
      }
    }
    // The job of the first product was rolled back.
    #expect(
      try await pool.integer("select failures from scheduled_jobs where (product_id, kind) = (1, 'expire_holds')")
        == 1)
    #expect(try await pool.integer("select sum(available_stock * id) from products") == 3 + 2 * 5)
    #expect(try await pool.integer("select count(*) from holds where status = 'active' and product_id = 1") == 1)
    #expect(try await Audit.run(on: pool).isClean)
    try await pool.run("update scheduled_jobs set retry_at = run_at where failures > 0")
    try await pool.run("select \(dueJobs())")
    #expect(try await pool.integer("select available_stock from products where id = 1") == 3)
    try await pool.run("select \(dueJobs(isPatient: true))")
    #expect(try await pool.integer("select available_stock from products where id = 1") == 5)
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }

  /// A call keeps its products locked until it commits. With a wait for another one, this could happen:
  ///
  ///     worker: expires product 1, waits for product 2
  ///     other:  has locked product 2, waits for product 1
  @Test(.database) func `a worker that has locked a product does not wait for another`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(
      """
      select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, null) from generate_series(1, 300);
      select reserve_holds(id, array[gen_random_uuid()], '{2}', 0, null, null, null) from products;
      create table public.patience (call bigint, product_id integer, lock_timeout text, n serial);
      create function public.note() returns trigger language plpgsql as $$
      begin
          insert into public.patience values (txid_current(), new.product_id, current_setting('lock_timeout'));
          return new;
      end
      $$;
      create trigger note before update on holds for each row execute function public.note();
      """)
    // A call ends early on a busy machine, but not each time after the first job.
    try await until("all have expired") {
      try await pool.run("select \(dueJobs(limit: 1000))")
      return try await pool.integer("select count(*) from holds where status = 'active'") == 0
    }
    #expect(try await pool.integer("select 300 - count(distinct call) from public.patience") > 0)
    let wrong = try await pool.integer(
      """
      select count(*)
      from (select *, row_number() over (partition by call order by n) as place from public.patience) p
      where lock_timeout <> case when place = 1 then '5ms' else '1ms' end
      """)
    #expect(wrong == 0)
    await pool.close()
  }

  @Test(.database) func `old rows are removed only when no failed job is left to retry`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 3)
    try await pool.run(Self.twoLapsedProducts)
    try await pool.run(
      """
      update scheduled_jobs set run_at = clock_timestamp() - interval '1 hour' where kind = 'remove_old';
      update scheduled_jobs set failures = 1, retry_at = clock_timestamp() where kind = 'expire_holds';
      """)
    var expired: Int64 = 0
    while expired < 2 {
      expired += try await pool.integer(
        "select sum(case kind when 'expire_holds' then 1 else 100 end) from \(dueJobs(isPatient: true))")
    }
    #expect(expired == 2)
    // Each call does one removal.
    for _ in 0..<2 {
      #expect(
        try await pool.integer("select sum(case kind when 'remove_old' then 1 end) from \(dueJobs(isPatient: true))")
          == 1)
    }
    await pool.close()
  }

  /// Products 1 and 2 with a stock of 5, each with a lapsed hold of 2 units and its job.
  private static let twoLapsedProducts = """
    select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, null);
    select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, null);
    select reserve_holds(id, array[gen_random_uuid()], '{2}', 0, null, null, null) from products;
    """
}
