import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Rules that all functions in `sql/functions` keep.
@Suite struct SQLFunctionTests {
  /// PostgreSQL puts the expression of such a function in the place of its call: it costs no call.
  @Test(arguments: [
    "key_lock(product_id, key)", "customer_lock(product_id, customer_id)", "event_lock(key)",
    "admin_key_lock(product_id, key)", "job_lock(product_id)",
  ])
  func `the number of a lock is computed in place`(call: String) async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        do $$
        declare
            plan json;
        begin
            execute 'explain (verbose, format json) select \(call) from idempotency_keys' into plan;
            if plan::text ~ '_lock' then
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
