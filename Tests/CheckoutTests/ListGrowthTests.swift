import Postgres
import TestSupport
import Testing

/// The number of rows that a page reads must not grow with the tables, whatever the planner knew when it made the plan.
@Suite struct ListGrowthTests {
  private static let count = 60_000

  /// The call, and the most rows that it may read.
  private static let calls: [(call: String, limit: Int64)] = [
    ("list_orders(null, null, null, null, 0, null, 101)", 2_000),
    ("list_orders(1, null, null, null, 0, null, 101)", 1_000),
    ("list_orders(null, 'paid', null, null, 0, null, 101)", 2_000),
    ("list_orders(null, 'expired', null, null, 0, null, 101)", 2_000),
    ("list_orders(1, 'pending_payment', null, null, 0, null, 101)", 1_000),
    ("list_orders(null, null, 'customer 7', null, 0, null, 101)", 1_000),
    ("list_orders(null, null, null, null, 0, first_hold_id(1, 1794970000), 101)", 2_000),
    ("list_orders(null, null, null, to_timestamp(1795000050), 1794990000, null, 101)", 25_000),
    // No order meets the condition, and an index does not tell. The second read finds out where the page ends.
    ("list_orders(1, 'paid', 'nobody', null, 0, null, 101)", 1_000),
    ("list_orders(1, 'paid', 'guest', null, 0, null, 101)", 45_000),
    ("list_holds(null, null, null, 0, null, 101)", 2_000),
    ("list_holds(1, 'ordered', null, 0, null, 101)", 1_000),
    ("list_holds(1, 'active', null, 0, null, 101)", 1_000),
    ("list_holds(null, 'expired', null, 0, null, 101)", 1_000),
    ("list_holds(null, null, 'customer 7', 0, null, 101)", 1_000),
  ]

  @Test(arguments: calls) func `a page reads a bounded number of rows`(call: String, limit: Int64) async throws {
    try await TestDatabases.withDatabase { url in
      var configuration = ConnectionConfiguration(url: url)
      configuration.statementTimeout = .seconds(60)
      configuration.lockTimeout = .seconds(60)
      let pool = Pool(configuration, size: 1)
      try await pool.run(
        """
        alter table holds set (autovacuum_enabled = off);
        alter table orders set (autovacuum_enabled = off);
        insert into products (id, name, price, currency, total_stock, available_stock)
        values (1, 'Cap', 100, 'USD', 1000000, 900000), (2, 'Hat', 100, 'USD', 1000000, 900000);
        create table rows_read (count bigint);
        """)
      let measured = """
        do $$
        declare
            total constant text := 'select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables
                where relname in (''holds'', ''orders'')';
            before bigint;
            after bigint;
        begin
            execute total into before;
            perform \(call);
            execute total into after;
            insert into rows_read values (after - before);
        end
        $$
        """
      // The plan is made while the tables are empty.
      for _ in 1...2 { try await pool.run("begin; \(measured); rollback") }
      let customer = "case when n % 2 = 0 then 'guest' else 'customer ' || n end"
      try await pool.addOrders(Self.count, of: 1, customer: customer)
      try await pool.addOrders(1_000, of: 2, customer: customer)
      // All orders of the guest are unpaid.
      try await pool.run(
        """
        update orders o set status = 'pending_payment', paid_at = null
        from holds h
        where h.product_id = o.product_id and h.id = o.id and h.customer_id = 'guest' and o.product_id = 1
          and \(call.contains("guest"))
        """)
      try await pool.run(measured)
      let read = try await pool.integer("select count from rows_read")
      #expect(0...limit ~= read)
      await pool.close()
    }
  }
}
