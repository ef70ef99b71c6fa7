import Postgres
import Secrets
import TestSupport
import Testing

@testable import Checkout

/// Keys of operators and the sessions that they open.
@Suite struct AdminAccessTests {
  private static let adminToken = Secret("the-admin-token-of-the-test")

  /// Creates a key.
  private static func key(_ name: String, _ scope: AdminScope = .operate, in pool: Pool) async throws -> Secret {
    let key = AdminSecret.newKey()
    guard try await pool.transact(CreateKey(name: name, scope: scope, key: key)) == [.created] else {
      throw Unexpected("no key \(name)")
    }
    return key
  }

  private static func session(_ opened: OpenedSession?, _ adminToken: Secret? = nil) throws -> AdminCredential {
    .session(token: try #require(opened).token, adminToken: adminToken)
  }

  // MARK: Keys

  @Test(.checkout, arguments: AdminScope.allCases)
  func `a key has the name and the scope that it was created with`(scope: AdminScope) async throws {
    let (checkout, pool) = TestCheckout.current
    let key = try await Self.key("laptop", scope, in: pool)
    let admin = try #require(try await checkout.findAdmin(.key(key)))
    #expect(admin.name == "laptop" && admin.scope == scope && admin.sessionEndsAt == nil)
    #expect(try await checkout.findAdmin(.key(AdminSecret.newKey())) == nil)
    let listed = try await pool.execute(ListKeys())
    #expect(listed.map(\.name) == ["laptop"] && listed.map(\.scope) == [scope] && listed[0].revokedAt == nil)
  }

  @Test(.checkout) func `the database has only the SHA-256 of a key`() async throws {
    let pool = TestCheckout.current.pool
    let key = try await Self.key("laptop", in: pool).revealed()
    #expect(try await pool.integer("select count(*) from admin_keys where key_digest = sha256('\(key)')") == 1)
    #expect(try await pool.integer("select count(*) from admin_keys k where k::text like '%\(key)%'") == 0)
  }

  @Test(.checkout) func `a revoked key and its sessions end at once`() async throws {
    let (checkout, pool) = TestCheckout.current
    let (key, other) = (try await Self.key("laptop", in: pool), try await Self.key("phone", in: pool))
    let session = try Self.session(try await checkout.openSession(key: key))
    let otherSession = try Self.session(try await checkout.openSession(key: other))
    #expect(try await checkout.findAdmin(session)?.name == "laptop")
    #expect(try await pool.transact(RevokeKey(name: "laptop")).count == 1)
    #expect(try await checkout.findAdmin(.key(key)) == nil)
    #expect(try await checkout.findAdmin(session) == nil)
    #expect(try await checkout.openSession(key: key)?.admin == nil)
    #expect(try await checkout.findAdmin(.key(other))?.name == "phone")
    #expect(try await checkout.findAdmin(otherSession)?.name == "phone")
    #expect(try await pool.integer("select count(*) from admin_sessions") == 1)
    #expect(try await pool.transact(RevokeKey(name: "laptop")).isEmpty)
    #expect(try await pool.transact(RevokeKey(name: "nobody")).isEmpty)
    #expect(try await pool.execute(ListKeys()).map { $0.revokedAt == nil } == [false, true])
  }

  @Test(.checkout) func `a name belongs to one key until that key is revoked`() async throws {
    let (checkout, pool) = TestCheckout.current
    let first = try await Self.key("laptop", in: pool)
    let refused = AdminSecret.newKey()
    #expect(try await pool.transact(CreateKey(name: "laptop", scope: .admin, key: refused)) == [.nameTaken])
    #expect(try await checkout.findAdmin(.key(refused)) == nil)
    _ = try await pool.transact(RevokeKey(name: "laptop"))
    let second = try await Self.key("laptop", in: pool)
    #expect(try await checkout.findAdmin(.key(first)) == nil)
    #expect(try await checkout.findAdmin(.key(second))?.name == "laptop")
  }

  /// The second one must wait for the commit of the first.
  @Test(.checkout) func `of two keys that get one name at once, one is created`() async throws {
    let pool = TestCheckout.current.pool
    let outcome = try await pool.holding("select create_key('laptop', 'read', sha256('first'))") { commit in
      async let second = pool.transact(CreateKey(name: "laptop", scope: .read, key: AdminSecret.newKey()))
      try await pool.untilBlocked(1)
      try await commit()
      return try await second
    }
    #expect(outcome == [.nameTaken])
    #expect(try await pool.integer("select count(*) from admin_keys") == 1)
  }

  @Test(
    .checkout,
    arguments: [
      ("a", true), ("ops-laptop_2.home", true), (String(repeating: "x", count: 64), true), ("admin_token", true),
      ("", false), (String(repeating: "x", count: 65), false), ("ADMIN_TOKEN", false), ("command line", false),
      ("a\n", false), ("é", false), ("a/b", false),
    ])
  func `the program and the table allow the same names`(name: String, isAllowed: Bool) async throws {
    let pool = TestCheckout.current.pool
    #expect(CreateKey.isName(name) == isAllowed)
    if isAllowed {
      _ = try await Self.key(name, in: pool)
    } else {
      await #expect(throws: PostgresError.self) { try await Self.key(name, in: pool) }
    }
  }

  @Test func `keys and tokens are long, and no two are equal`() {
    let keys = (0..<1000).map { _ in AdminSecret.newKey().revealed() }
    #expect(Set(keys).count == 1000)
    for key in keys { #expect(key.wholeMatch(of: /fsk_[0-9a-f]{48}/) != nil && AdminSecret.isKey(key)) }
    let token = AdminSecret.newSessionToken().revealed()
    #expect(AdminSecret.isSessionToken(token) && !AdminSecret.isKey(token) && !AdminSecret.isSessionToken(keys[0]))
    for text in ["", "fsk_", "fsk_" + String(repeating: "g", count: 48), keys[0] + "0", keys[0].uppercased()] {
      #expect(!AdminSecret.isKey(text), "\(text)")
    }
  }

  // MARK: Sessions

  @Test(.checkout) func `a session ends when it is closed`() async throws {
    let (checkout, pool) = TestCheckout.current
    let key = try await Self.key("laptop", .read, in: pool)
    let opened = try #require(try await checkout.openSession(key: key))
    let found = try #require(try await checkout.findAdmin(Self.session(opened)))
    #expect(found == opened.admin && found.name == "laptop" && found.scope == .read)
    try await checkout.closeSession(token: opened.token)
    #expect(try await checkout.findAdmin(Self.session(opened)) == nil)
    try await checkout.closeSession(token: opened.token)
  }

  @Test(.checkout) func `a session ends after 12 hours`() async throws {
    let (checkout, pool) = TestCheckout.current
    let session = try Self.session(try await checkout.openSession(key: Self.key("laptop", in: pool)))
    let length = "select extract(epoch from max(expires_at) - clock_timestamp()) from admin_sessions"
    let seconds = try await pool.integer(length)
    #expect(43_140...43_200 ~= seconds)
    try await pool.run("update admin_sessions set expires_at = clock_timestamp()")
    #expect(try await checkout.findAdmin(session) == nil)
  }

  @Test(.checkout) func `a session of ADMIN_TOKEN ends when ADMIN_TOKEN changes`() async throws {
    let (checkout, pool) = TestCheckout.current
    let opened = try await checkout.openSession(adminToken: Self.adminToken)
    #expect(opened?.admin.name == "ADMIN_TOKEN" && opened?.admin.scope == .admin)
    #expect(try await checkout.findAdmin(Self.session(opened, Self.adminToken)) == opened?.admin)
    for other in [Secret("another-admin-token"), nil] {
      #expect(try await checkout.findAdmin(Self.session(opened, other)) == nil)
    }
    // A SHA-256 of the token would reveal a short token to anybody who reads the table.
    let digest = "sha256('\(Self.adminToken.revealed())')"
    #expect(
      try await pool.integer("select count(*) from admin_sessions where \(digest) in (token_digest, admin_token_code)")
        == 0)
  }

  @Test(.checkout) func `a session of a key does not depend on ADMIN_TOKEN`() async throws {
    let (checkout, pool) = TestCheckout.current
    let opened = try await checkout.openSession(key: Self.key("laptop", in: pool))
    for adminToken in [Self.adminToken, nil] {
      #expect(try await checkout.findAdmin(Self.session(opened, adminToken))?.name == "laptop")
    }
  }

  /// The revocation comes first, but is not committed when the session is opened.
  @Test(.checkout) func `no session is opened beside the revocation of its key`() async throws {
    let (checkout, pool) = TestCheckout.current
    let key = try await Self.key("laptop", in: pool)
    let opened = try await pool.holding("select revoke_key('laptop')") { commit in
      // The look-up before it still finds the key. The second one waits for the key's row.
      async let opened = checkout.openSession(key: key)
      try await pool.untilBlocked(1)
      try await commit()
      return try await opened
    }
    #expect(opened?.admin == nil)
    #expect(try await pool.integer("select count(*) from admin_sessions") == 0)
  }

  /// The session comes first, but is not committed when the key is revoked.
  @Test(.checkout) func `a revocation also ends a session that is being opened`() async throws {
    let (checkout, pool) = TestCheckout.current
    let key = try await Self.key("laptop", in: pool)
    let open = "select open_session(sha256('\(key.revealed())'), null, sha256('token'), 1000000)"
    try await pool.holding(open) { commit in
      async let revoked = pool.transact(RevokeKey(name: "laptop"))
      try await pool.untilBlocked(1)
      try await commit()
      #expect(try await revoked.count == 1)
    }
    #expect(try await pool.integer("select count(*) from admin_sessions") == 0)
    #expect(try await checkout.findAdmin(.key(key)) == nil)
  }

  @Test(.checkout) func `sessions that have ended are removed, and the log stays`() async throws {
    let (checkout, pool) = TestCheckout.current
    _ = try await checkout.newProduct(stock: 1)
    let key = try await Self.key("laptop", in: pool)
    let (old, new) = (try await checkout.openSession(key: key), try await checkout.openSession(key: key))
    let digest = "sha256('\(try #require(old).token.revealed())')"
    try await pool.run(
      """
      update admin_sessions set expires_at = clock_timestamp() where token_digest = \(digest);
      update admin_changes set changed_at = changed_at - interval '10 years';
      update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old';
      """)
    try await until("it is removed") { try await pool.integer("select count(*) from admin_sessions") == 1 }
    #expect(try await checkout.findAdmin(Self.session(new))?.name == "laptop")
    #expect(try await pool.integer("select count(*) from admin_changes") == 2)
  }
}
