import Postgres
import TestSupport
import Testing

/// The number of rows that a call for events reads must not grow with the tables, whatever the planner knew when it made
/// the plan.
@Suite struct EventGrowthTests {
  private static let count = 20_000

  /// Each reads a page of 101, claims 100, or is a step of 100.
  private static let calls = [
    "claim_deliveries(gen_random_uuid(), 100)",
    "list_events(null, null, null, null, 101)",
    "list_events(null, 1, null, null, 101)",
    "list_events(null, null, coalesce((select max(transaction_id) from events), 1), 19000, 101)",
    "list_deliveries(null, null, null, null, null, null, null, 101)",
    "list_deliveries(null, null, null, null, now(), gen_random_uuid(), gen_random_uuid(), 101)",
    "list_deliveries(null, 'failed', null, null, null, null, null, 101)",
    "list_deliveries(null, null, 1, gen_random_uuid(), null, null, null, 101)",
    "recover_deliveries((select id from webhook_endpoints), 100)",
    "delete_endpoint((select id from webhook_endpoints)), remove_deliveries((select endpoint_id from deliveries limit 1), 100)",
    "delete_endpoint((select id from webhook_endpoints)), remove_old(1, 100, 3600000000, 3600000000, 3600000000)",
  ]

  @Test(arguments: calls) func `a call reads a bounded number of rows`(call: String) async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        alter table events set (autovacuum_enabled = off);
        alter table deliveries set (autovacuum_enabled = off);
        create index events_by_number on events (number);
        select create_endpoint(gen_random_uuid(), 'https://shop.example', '{product.*}', null, 's');
        select begin_recovery(id, '2000-01-01') from webhook_endpoints;
        create table rows_read (count bigint);
        """)
      let measured = """
        do $$
        declare
            total constant text := 'select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables
                where relname in (''events'', ''deliveries'')';
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
      // Plans are made while the tables are empty. PL/pgSQL may keep one from the sixth call on.
      for _ in 1...8 { try await pool.run("begin; \(measured); rollback") }
      try await pool.run(
        """
        insert into events (product_id, id, type, object_id, version, created_at, data)
        select 1, gen_random_uuid(), 'product.paused', '1', n, now(), '{}' from generate_series(1, \(Self.count)) n;
        insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at)
        select e.product_id, e.id, w.id, now(), now() + e.number * interval '1 millisecond' - interval '10 seconds'
        from events e, webhook_endpoints w;
        """)
      try await pool.run(measured)
      let read = try await pool.integer("select count from rows_read")
      #expect(0...3_000 ~= read)
      await pool.close()
    }
  }
}
