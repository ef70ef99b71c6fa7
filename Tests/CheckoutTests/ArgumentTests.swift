import Postgres
import TestSupport
import Testing

/// Calls that the servers' role may make, with arguments that no server sends.
@Suite struct ArgumentTests {
  private static let ids = "array[gen_random_uuid(), gen_random_uuid()]"

  @Test(
    .database,
    arguments: [
      "reserve_holds(1, \(ids), '{1}', 1000000, null, null, null)",
      "reserve_holds(1, \(ids), '{1,2,3}', 1000000, null, null, null)",
      "reserve_holds(1, \(ids), '{1,null}', 1000000, null, null, null)",
      "reserve_holds(1, \(ids), '{4,-3}', 1000000, null, null, null)",
      "reserve_holds(1, \(ids), '[0:1]={1,2}', 1000000, null, null, null)",
      "reserve_holds(1, \(ids), '{{1,2}}', 1000000, null, null, null)",
      "reserve_holds(1, array[gen_random_uuid(), null], '{1,2}', 1000000, null, null, null)",
      "reserve_holds(1, '{}', '{}', 1000000, null, null, null)",
      "reserve_holds(1, null, '{1}', 1000000, null, null, null)",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, '{a}', null, null)",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, '{a}', null)",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, '{1,1}')",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, '{a}', '{1}')",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, '{a}', '{0,1}')",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, '{a}', '{1,2}')",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, '{a,null}', '{1,2}')",
      "reserve_holds(2, \(ids), '{1,1}', 1000000, null, '{a,a}', '{1,2}')",
      "reserve_holds(1, \(ids), '{1,2}', 9000000000000000000, null, null, null)",
      "reserve_holds(1, \(ids), '{1,2}', 2592000000001, null, null, null)",
      "reserve_holds(1, \(ids), '{1,2}', -1, null, null, null)",
      "reserve_holds(1, \(ids), '{1,2}', null, null, null, null)",
      "reserve_holds_together('{1}', \(ids), '{1,1}', 1000000, null, null)",
      "reserve_holds_together('{1,1}', \(ids), '{1}', 1000000, null, null)",
      "reserve_holds_together('{1,1}', \(ids), '{4,-3}', 1000000, null, null)",
      "reserve_holds_together('{1,1}', \(ids), '{1,1}', 1000000, '{a}', null)",
      "reserve_holds_together('{1,1}', \(ids), '{1,1}', 1000000, null, '{a}')",
      "reserve_holds_together('{1,null}', \(ids), '{1,1}', 1000000, null, null)",
      "reserve_holds_together('{1,1}', \(ids), '{1,1}', 9000000000000000000, null, null)",
      "place_orders(1, \(ids), '{a}', 1000000)",
      "place_orders(1, '{null}', null, 1000000)",
      "place_orders(1, null, null, 1000000)",
      "place_orders(1, \(ids), null, 9000000000000000000)",
      "place_orders(1, \(ids), null, -1)",
      "place_orders(1, \(ids), null, 1000000, -5)",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, null, '{null}')",
      #"reserve_holds(1, \#(ids), '{1,2}', 1000000, null, null, null, array[null, '{"a":1}'])"#,
      #"reserve_holds(1, \#(ids), '{1,2}', 1000000, null, null, null, array[null, '{"":"1"}'])"#,
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, null, array[null, '{}'])",
      "reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, null, array[null, '[]'])",
      """
      reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, null,
        array[null, (select jsonb_object_agg(n, 'x') from generate_series(1, 11) n)::text])
      """,
      """
      reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, null,
        array[null, jsonb_build_object(repeat('x', 41), '')::text])
      """,
      """
      reserve_holds(1, \(ids), '{1,2}', 1000000, null, null, null,
        array[null, jsonb_build_object('a', repeat('x', 501))::text])
      """,
      "reserve_holds_together('{1,1}', \(ids), '{1,1}', 1000000, null, null, '{null}')",
      "place_orders(1, \(ids), null, 1000000, 1, '{null}')",
      "release_holds(1, null)",
      "release_holds(1, array[\(ids)])",
    ])
  func `arguments that do not fit together are refused`(call: String) async throws {
    let url = TestDatabase.url
    let owner = Pool(ConnectionConfiguration(url: url), size: 1)
    try await owner.run(
      """
      select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, null);
      select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, 1);
      """)
    let pool = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
    let error = await #expect(throws: PostgresError.self) { try await pool.run("select flashsale.\(call)") }
    guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
    #expect(refusal.sqlState == "22023")
    #expect(try await owner.integer("select count(*) from holds") == 0)
    await pool.close()
    await owner.close()
  }
}
