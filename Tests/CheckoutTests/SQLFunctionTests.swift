import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Rules that all functions in `sql/functions` keep.
@Suite struct SQLFunctionTests {
  /// PostgreSQL puts the text of such a function in the place of its call: it costs no call.
  @Test(arguments: [
    "key_lock(product_id, key) from idempotency_keys", "customer_lock(product_id, customer_id) from idempotency_keys",
    "event_lock(key) from idempotency_keys", "admin_key_lock(product_id, key) from idempotency_keys",
    "job_lock(product_id) from idempotency_keys", "is_list(array[product_id], product_id) from idempotency_keys",
    "is_time_to_live(product_id) from idempotency_keys", "clock_tolerance(product_id) from idempotency_keys",
    "held.id from lapsed_holds_of_customers(1, '{ada}', now()) held",
  ])
  func `small functions are planned in place of their calls`(call: String) async throws {
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

  @Test func `the numbers of different kinds of locks differ`() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      let numbers = try await pool.integer(
        """
        select count(distinct n) from unnest(array[
          key_lock(1, 'a'), customer_lock(1, 'a'), admin_key_lock(1, 'a'), event_lock('1 a'), job_lock(1),
          key_lock(2, 'a'), customer_lock(2, 'a'), admin_key_lock(2, 'a'), job_lock(2)]) n
        """)
      #expect(numbers == 9)
      await pool.close()
    }
  }
}
