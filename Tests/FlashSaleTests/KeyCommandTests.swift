import TestSupport
import Testing

extension FlashSaleTests {
  /// `flashsale key`.
  @Suite struct KeyCommandTests {
    @Test(.database) func `a key is printed once, alone on standard output`() async throws {
      let url = TestDatabase.url
      let created = try await flashsale(["key", "create", "--scope", "operate", "--name", "ops-laptop"], database: url)
      #expect(created.status == .exited(0) && created.output.count == 1, "\(created)")
      let key = created.output[0]
      #expect(key.wholeMatch(of: /fsk_[0-9a-f]{48}/) != nil)
      #expect(!created.errors.isEmpty && !created.errors.contains { $0.contains(key) }, "\(created)")
      let list = try await flashsale(["key", "list"], database: url)
      list.expectSuccess()
      #expect(list.output.count == 2 && !"\(list)".contains(key), "\(list)")
      #expect(list.output[0].hasPrefix("NAME") && list.output[1].hasPrefix("ops-laptop  operate  20"), "\(list)")
      #expect(list.output[1].hasSuffix("  -"), "\(list)")
    }

    @Test(.database) func `a revoked key is listed, and its name is free`() async throws {
      let url = TestDatabase.url
      _ = try await createKey("ops-laptop", .admin, on: url)
      let again = ["key", "create", "--scope", "read", "--name", "ops-laptop"]
      try await flashsale(again, database: url).expectFailure(saying: "there is a key ops-laptop already")
      try await flashsale(["key", "revoke", "ops-laptop"], database: url).expectSuccess()
      try await flashsale(["key", "revoke", "ops-laptop"], database: url).expectFailure(saying: "no key ops-laptop")
      #expect(try await flashsale(again, database: url).status == .exited(0))
      let list = try await flashsale(["key", "list"], database: url).output
      #expect(list.count == 3 && list[1].hasSuffix("Z") && list[2].hasSuffix("  -"), "\(list)")
    }

    @Test(.database) func `invalid names and scopes are usage errors`() async throws {
      let url = TestDatabase.url
      for arguments in [
        ["--scope", "read"], ["--name", "a"], ["--scope", "all", "--name", "a"], ["--scope", "read", "--name", ""],
        ["--scope", "read", "--name", "two words"], ["--scope", "read", "--name", "ADMIN_TOKEN"],
      ] {
        try await flashsale(["key", "create"] + arguments, database: url).expectUsageError()
      }
      #expect(try await flashsale(["key", "list"], database: url).output.count == 1)
    }

    @Test(.database) func `a server's role may manage keys`() async throws {
      let url = TestDatabases.serverURL(TestDatabase.url)
      _ = try await createKey("ops-laptop", .read, on: url)
      try await flashsale(["key", "revoke", "ops-laptop"], database: url).expectSuccess()
    }
  }
}
