import Postgres
import TestSupport
import Testing

@testable import Checkout

/// The number of rows that a batch reads must not grow with the tables. In the first minute of a sale, tables grow from
/// nothing. They are not analyzed yet, so the planner expects small tables.
@Suite struct GrowthTests {
  /// The numbers of rows when a plan is first made, and when the function is called.
  private static let first = 300
  private static let grown = 10_000

  private static let tables = """
    alter table holds set (autovacuum_enabled = off);
    alter table orders set (autovacuum_enabled = off);
    alter table payment_events set (autovacuum_enabled = off);
    alter table idempotency_keys set (autovacuum_enabled = off);
    insert into products (id, name, price, currency, total_stock, available_stock, max_per_customer)
    values (1, 'Cap', 100, 'USD', 1000000, 900000, 5);
    insert into ordered_stock (product_id, units) values (1, \(grown));
    alter table products set (autovacuum_enabled = off);
    alter table scheduled_jobs set (autovacuum_enabled = off);
    insert into customer_erasures values ('customer 250', 'erased', now());
    create table made (id uuid, n integer);
    create table rows_read (count bigint);
    """

  /// A sale of one product: its holds, most of them ordered, with their events and keys. As many other products have the ids
  /// that follow.
  private static func sale(of product: Int = 1, _ numbers: ClosedRange<Int>) -> String {
    """
    with new as (
        insert into made
        select gen_random_uuid(), n from generate_series(\(numbers.lowerBound), \(numbers.upperBound)) n
        returning *
    ), new_holds as (
        insert into holds (product_id, id, quantity, status, expires_at, customer_id)
        select \(product), id, 1, case when n > 200 then 'ordered' else 'active' end,
               now() + case when n between 101 and 200 then -1 else 1 end * interval '1 hour', 'customer ' || n
        from new
    ), new_keys as (
        insert into idempotency_keys (product_id, key, customer_id, operation, hold_id, created_at)
        select \(product), 'key ' || n, 'customer ' || n, 'reserve_hold', id, now() from new
    ), new_events as (
        insert into payment_events (idempotency_key, product_id, order_id, status, verdict, order_status, received_at)
        select 'event ' || n, \(product), id, 'failed', 'ignored', 'pending_payment', now() from new where n > 200
    ), new_products as (
        insert into products (id, name, price, currency, total_stock, available_stock)
        select \(product) + n, 'Cap', 100, 'USD', 1000, 1000 from new
    ), new_jobs as (
        insert into scheduled_jobs (product_id, kind, run_at) select \(product) + n, 'expire_holds', now() from new
    )
    insert into orders (product_id, id, quantity, amount, currency, payment_due_at, created_at)
    select \(product), id, 1, 100, 'USD', now() + case when n <= 300 then -1 else 1 end * interval '1 hour', now()
    from new where n > 200;
    """
  }

  /// The calls that are measured. `condition` selects the holds or orders in `ids`.
  private static let batches: [(name: String, function: String, condition: String)] = [
    ("reserve_holds", "reserve_holds(1, new_ids, ones, 1000000, null, null, null)", ""),
    ("reserve_holds with keys", "reserve_holds(1, new_ids, ones, 1000000, keys, customers, positions)", ""),
    ("reserve_holds for customers", "reserve_holds(1, new_ids, ones, 1000000, null, customers, positions)", ""),
    (
      "reserve_holds for customers at their limit",
      "reserve_holds(1, new_ids, fives, 1000000, null, customers, positions)", ""
    ),
    ("reserve_holds_together", "reserve_holds_together(products, new_ids, ones, 100000000, new_keys, customers)", ""),
    ("place_orders", "place_orders(1, ids, null, 1000000)", "n <= 100"),
    ("place_orders with keys", "place_orders(1, ids, new_keys, 1000000)", "n <= 100"),
    ("apply_payment_events", "apply_payment_events(1, new_keys, ids, successes, nulls, null_texts)", "n > 200"),
    ("apply_payment_events again", "apply_payment_events(1, events, ids, failures, nulls, null_texts)", "n > 200"),
    ("read_holds", "read_holds(1, ids)", ""),
    ("read_orders", "read_orders(1, ids)", "n > 200"),
    ("release_holds", "release_holds(1, ids)", "n <= 100"),
    ("expire_holds", "expire_holds(1, size, size)", ""),
    ("expire_orders", "expire_orders(1, size)", ""),
    ("remove_old", "remove_old(1, size, 3600000000, 3600000000, 3600000000)", ""),
    ("customers_left", "customers_left(1, customers, 5, now(), false)", ""),
    ("customers_left of those waited for", "customers_left(1, customers, 5, now(), true)", ""),
    ("await_orders_of_customers", "await_orders_of_customers(1, customers, now(), null)", ""),
    ("run_due_jobs", "run_due_jobs(false, size, 3600000000, 3600000000, 3600000000)", ""),
    ("read_products", "read_products(array[1])", ""),
    ("erase_customer", "erase_customer(1, 'customer 250', null, null, size)", ""),
    ("erase_customer after a hold", "erase_customer(1, 'customer 250', null, new_ids[1], size)", ""),
    ("erase_customer among given-back holds", "erase_customer(1, 'customer 250', to_timestamp(0), null, size)", ""),
    ("export_customer", "export_customer(1, 'customer 250', null, null, size)", ""),
  ]

  /// Calls a function, and records how many rows it read from tables and through indexes.
  private static func call(_ function: String, _ condition: String, size: Int) -> String {
    """
    do $$
    declare
        size constant integer := \(size);
        ids uuid[] := array(select id from made where \(condition.isEmpty ? "true" : condition) order by n limit size);
        new_ids uuid[] := array(select gen_random_uuid() from generate_series(1, size));
        products integer[] := array(select 1 + n from made order by n limit size);
        ones integer[] := array_fill(1, array[size]);
        fives integer[] := array_fill(5, array[size]);
        keys text[] := array(select 'key ' || n from generate_series(1, size) n);
        new_keys text[] := array(select 'new ' || gen_random_uuid() from generate_series(1, size) n);
        events text[] := array(select 'event ' || n from made where n > 200 order by n limit size);
        customers text[] := array(select 'customer ' || n from generate_series(1, size) n);
        positions integer[] := array(select n from generate_series(1, size) n);
        successes text[] := array_fill('success'::text, array[size]);
        failures text[] := array_fill('failed'::text, array[size]);
        nulls bigint[] := array_fill(null::bigint, array[size]);
        null_texts text[] := array_fill(null::text, array[size]);
        total constant text := 'select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables
            where relname <> all (''{made,rows_read}'')';
        before bigint;
        after bigint;
    begin
        execute total into before;
        perform \(function);
        execute total into after;
        insert into rows_read values (after - before);
    end
    $$
    """
  }

  /// The planner's statistics before the sale of the product.
  enum Statistics {
    case none
    /// The planner knows large tables from another product's sale. They have no row of this product.
    case ofAnotherSale
  }

  /// For a few requests the planner plans again by those statistics: their arrays are shorter than the length that it
  /// assumes.
  @Test(arguments: batches, [(Statistics.none, 100), (.ofAnotherSale, 3)])
  func `a batch reads a bounded number of rows`(
    batch: (name: String, function: String, condition: String), at moment: (statistics: Statistics, size: Int)
  ) async throws {
    try await TestDatabases.withDatabase { url in
      var configuration = ConnectionConfiguration(url: url)
      configuration.statementTimeout = .seconds(60)
      // On a busy machine, autovacuum may lock a catalog table after so many inserts.
      configuration.lockTimeout = .seconds(60)
      let pool = Pool(configuration, size: 1)
      try await pool.run(Self.tables)
      if moment.statistics == .ofAnotherSale {
        try await pool.run("\(Self.sale(of: 100_000, 1...Self.grown / 3)); delete from made; analyze")
      }
      try await pool.run(Self.sale(1...Self.first))
      let call = Self.call(batch.function, batch.condition, size: moment.size)
      // PL/pgSQL uses a generic plan from the sixth call on.
      for _ in 1...6 { try await pool.run("begin; \(call); rollback") }
      try await pool.run(Self.sale(Self.first + 1...Self.grown))
      try await pool.run(call)
      let count = try await pool.integer("select count from rows_read")
      #expect(1..<2000 ~= count)
      await pool.close()
    }
  }

  /// Old holds, orders and events do not count: a tick reads what is new, unpaid or waiting.
  @Test func `a snapshot of the shop reads a bounded number of rows`() async throws {
    try await TestDatabases.withDatabase { url in
      var configuration = ConnectionConfiguration(url: url)
      configuration.statementTimeout = .seconds(60)
      configuration.lockTimeout = .seconds(60)
      let pool = Pool(configuration, size: 1)
      // The rows of a sale are a day old. The last hundred orders are unpaid, and a hundred payments wait.
      let old = """
        delete from scheduled_jobs where product_id > 100;
        delete from products where id > 100;
        insert into ordered_stock select id, 0 from products where id > 1 on conflict do nothing;
        update orders set status = 'paid', paid_at = now(), created_at = now() - interval '1 day'
        where id not in (select id from made order by n desc limit 100);
        update payment_events set received_at = now() - interval '1 day',
            status = 'success', verdict = 'refund_due', order_status = 'paid', settled_at = now();
        update payment_events set settled_at = null
        where order_id in (select id from made order by n desc limit 100)
        """
      try await pool.run(Self.tables)
      try await pool.run(Self.sale(1...Self.first))
      try await pool.run(old)
      let call = Self.call("read_shop()", "", size: 1)
      for _ in 1...6 { try await pool.run("begin; \(call); rollback") }
      try await pool.run(Self.sale(Self.first + 1...Self.grown))
      try await pool.run(old)
      try await pool.run(call)
      let count = try await pool.integer("select count from rows_read")
      #expect(1..<2000 ~= count)
      await pool.close()
    }
  }
}
