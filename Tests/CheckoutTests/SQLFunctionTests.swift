import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Rules for all functions in `sql/functions`.
@Suite struct SQLFunctionTests {
  /// PostgreSQL inlines these functions, so they cost no call.
  @Test(arguments: [
    "key_lock(product_id, key) from idempotency_keys", "customer_lock(product_id, customer_id) from idempotency_keys",
    "event_lock(key) from idempotency_keys", "admin_key_lock(product_id, key) from idempotency_keys",
    "job_lock(product_id) from idempotency_keys", "is_list(array[product_id], product_id) from idempotency_keys",
    "is_time_to_live(product_id) from idempotency_keys", "clock_tolerance(product_id) from idempotency_keys",
    "time_after(created_at, product_id) from idempotency_keys", "stock.as_of from stock_now(1) stock",
    "held.id from lapsed_holds_of_customers(1, '{ada}', now()) held",
    "product_status(created_at, created_at, product_id > 1, created_at, product_id, product_id > 2) from idempotency_keys",
    "first_hold_id(product_id, product_id) from idempotency_keys", "age_of_id(hold_id) from idempotency_keys",
    "id_of_product(product_id, hold_id) from idempotency_keys", "product_of_id(hold_id) from idempotency_keys",
    "hold_status(key, created_at, created_at) from idempotency_keys",
    "candidate.id from candidate_orders(1, 'pending_payment', null) candidate",
    "candidate.id from candidate_holds(1, 'expired', null) candidate",
    "newest.id from newest_orders(1, 'paid', 'ada', now(), first_hold_id(1, 0), first_hold_id(2, 0), 10, 10) newest",
    "newest.id from newest_holds(1, 'expired', 'ada', now(), first_hold_id(1, 0), first_hold_id(2, 0), 10, 10) newest",
    "held.released_at from next_release_of_customer(1, 'ada', now()) held", "event_bit('order.paid') from products",
    "event_id(product_id, key, customer_id, product_id) from idempotency_keys", "subscription_lock() from products",
    "order_event_data(o, 'ada', 'order.paid', 1) from orders o", "written.version from written_events() written",
    "hold_event_data(h, 'hold.placed', h.expires_at, 1) from holds h",
    "payment_event_data(e) from payment_events e",
    "backlog.pending from endpoint_backlogs(10) backlog",
  ])
  func `small functions are inlined into the calling query`(call: String) async throws {
    let name = try #require(call.firstMatch(of: /\w+(?=\()/)).output
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        do $$
        declare
            plan json;
        begin
            execute $query$explain (verbose, format json) select \(call)$query$ into plan;
            if plan::text ~ '\(name)' then
                raise exception '%', plan;
            end if;
        end
        $$
        """)
      await pool.close()
    }
  }

  @Test(.database) func `different kinds of advisory locks have different numbers`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    let numbers = try await pool.integer(
      """
      select count(distinct n) from unnest(array[
        key_lock(1, 'a'), customer_lock(1, 'a'), admin_key_lock(1, 'a'), event_lock('1 a'), job_lock(1),
        key_lock(2, 'a'), customer_lock(2, 'a'), admin_key_lock(2, 'a'), job_lock(2), subscription_lock()]) n
      """)
    #expect(numbers == 10)
    await pool.close()
  }

  /// sql/README.md lists the settings. Each query returns the functions with wrong settings, so it must return no row.
  @Test(arguments: [
    // Only functions that run with their owner's rights have a search path, and it is fixed.
    """
    select proname from functions
    where prosecdef <> (settings @> array['search_path=pg_catalog, flashsale, pg_temp'])
    """,
    // No cached plan reads a whole table.
    """
    select proname from functions
    where proname in (select name from plan_keepers) <> (settings @> array['enable_seqscan=off'])
    """,
    // Functions without this setting are called by functions that have it.
    """
    select caller.proname from functions caller
    join unnest(array['decide_payment_events', 'lock_holds', 'schedule_job']) name on caller.prosrc ~ ('\\m' || name || '\\(')
    where not caller.settings @> array['enable_seqscan=off'] and caller.proname <> 'decide_payment_events'
    """,
    // Generic plans are forced only where no plan may read a whole table.
    """
    select proname from functions
    where settings::text ~ 'force_generic_plan' and not settings @> array['enable_seqscan=off']
    """,
    // Which index serves a list of deliveries depends on the filters of the call.
    "select proname from functions where (settings::text ~ 'force_custom_plan') <> (proname = 'list_deliveries')",
    // Reads of the stock, and lists, use one index, row by row: see lapsed_units.
    """
    select proname from functions
    where (proname in ('lapsed_units', 'read_shop', 'list_deliveries', 'list_events', 'list_holds', 'list_orders')) <> (settings @> array['enable_bitmapscan=off', 'max_parallel_workers_per_gather=0'])
    """,
    // Only these functions find rows by ctid.
    """
    select proname from functions
    where (proname in ('set_status_of_holds', 'set_status_of_orders'))
       <> (settings @> array['enable_indexscan=off', 'enable_bitmapscan=off'])
    """,
    "select proname from functions where (settings::text ~ 'lock_timeout') <> (proname in ('check_readiness', 'run_due_jobs'))",
    // Inlined functions have no settings.
    """
    select proname from functions
    where lanname = 'sql' and not prosecdef and proname <> 'confirm_durably' and (settings <> '{}' or provolatile = 'v')
    """,
    """
    select proname || ': ' || setting from functions, unnest(settings) setting
    where split_part(setting, '=', 1) <> all (
        '{search_path,enable_seqscan,enable_indexscan,enable_bitmapscan,max_parallel_workers_per_gather,plan_cache_mode,lock_timeout}')
    """,
  ])
  func `functions have the settings that they need`(query: String) async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        create temporary view functions as
        select p.*, l.lanname, coalesce(p.proconfig, '{}') as settings
        from pg_proc p join pg_language l on l.oid = p.prolang
        where p.pronamespace = 'flashsale'::regnamespace;
        create temporary view plan_keepers as
        select proname::text as name from functions
        where lanname = 'plpgsql' and prosrc ~ '\\m(select|insert|update|delete|perform from)\\M'
          and prosrc ~ '\\m(products|holds|orders|ordered_stock|payment_events|refunds|(admin_)?idempotency_keys|admin_keys|admin_sessions|admin_changes|scheduled_jobs|lapsed_holds_of_customers|events|deliveries|event_batches)\\M'
          and proname <> all ('{decide_payment_events,lock_holds,schedule_job}')
          and proname <> all ('{check_readiness,create_product,list_payment_events,restock_product}')
          and proname <> all ('{create_key,list_admin_changes,record_admin_change,settle_refund,update_product}')
          and proname <> all ('{add_event_batch,create_endpoint,set_event_feed,spread_wanted_events}');
        do $do$
        declare
            wrong constant text := (select string_agg(w::text, ', ') from (\(query)) w);
        begin
            if wrong is not null then
                raise exception 'wrong settings: %', wrong;
            end if;
        end
        $do$
        """)
      await pool.close()
    }
  }
}
