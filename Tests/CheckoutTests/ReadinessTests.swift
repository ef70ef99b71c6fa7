import LocalPostgres
import Logging
import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct ReadinessTests {
  @Test(.checkout) func `many readiness checks at once are all answered`() async throws {
    let checkout = TestCheckout.current.checkout
    let answers = await withTaskGroup(of: Readiness.self) { group in
      for _ in 0..<200 { group.addTask { await checkout.readiness() } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.allSatisfy { $0 == .ready })
  }

  /// The commit of a transaction that wrote nothing does not wait for the standby.
  @Test(.database) func `the readiness check writes, so its commit waits for the standby`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(
      """
      do $$ begin
        perform flashsale.check_readiness();
        if txid_current_if_assigned() is null then raise exception 'nothing to commit'; end if;
      end $$
      """)
    await pool.close()
  }

  @Test func `a server whose standby does not confirm is not ready`() async throws {
    var logger = Logger(label: "tests")
    logger.logLevel = .critical
    try await LocalPostgres.withServer(
      directory: temporaryDirectory(), ephemeral: true, settings: ["fsync": "off"], logger: logger
    ) { server in
      let url = server.databaseURL()
      _ = try await Migrator(ConnectionConfiguration(url: url)).migrate(serverRole: TestDatabases.serverRole)
      try await withCheckout(on: url) { checkout, pool in
        #expect(await checkout.readiness() == .ready)
        func standby(_ names: String) async throws {
          try await pool.run("alter system set synchronous_standby_names = '\(names)'")
          try await pool.run("select pg_reload_conf()")
        }
        try await standby("nobody")
        try await until("the server is not ready") { await checkout.readiness() == .notReady(.noAnswer) }
        try await standby("")
        try await until("the server is ready again") { await checkout.readiness() == .ready }
      }
    }
  }

  @Test(arguments: [
    (PostgresError.cannotConnect("no route"), "The database cannot be reached.", "no route"),
    (
      PostgresError.connectionLost(statement: "s", message: "m"), "does not confirm a commit in time",
      "synchronous_standby_names"
    ),
  ])
  func `the reason of a failed check comes with advice`(error: PostgresError, text: String, advice: String) {
    let reason = Readiness.Reason(error)
    #expect(reason.text.contains(text) && reason.advice.contains(advice))
  }
}
