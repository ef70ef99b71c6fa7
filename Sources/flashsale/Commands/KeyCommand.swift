import API
import ArgumentParser
import Checkout
@preconcurrency import Glibc
import Postgres

struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Create, list and revoke the keys of operators.",
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create a key and print it, once.",
      discussion: "The database stores only the key's SHA-256, so nobody can print the key again.")

    @Option(help: "read: all GETs. operate: also change products, restock, settle and refund. admin: everything.")
    var scope: AdminScope
    @Option(help: "Name of the key in the audit log: 1 to 64 letters, digits, dots, underscores or hyphens.")
    var name: String
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard CreateKey.isName(name) else {
        throw ValidationError(
          "--name must have 1 to 64 letters, digits, dots, underscores or hyphens, and not be ADMIN_TOKEN")
      }
    }

    func run() async throws {
      let key = AdminSecret.newKey()
      let outcomes = try await withPool(try database.settings.database()) { pool in
        try await pool.transact(CreateKey(name: name, scope: scope, key: key))
      }
      guard outcomes.first == .created else {
        throw Failure("there is a key \(name) already; choose another name, or revoke that key first")
      }
      // Only the key is on standard output, so that it can go into a file or another command.
      fputs(
        """
        This is the only time that the key is shown. Keep it secret.
        Send it as Authorization: Bearer KEY, or sign in with it. To end it: flashsale key revoke \(name)

        """, stderr)
      print(key.revealed())
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the keys, with those that are revoked.")

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let keys = try await withPool(try database.settings.database()) { try await $0.execute(ListKeys()) }
      printTable(
        ["NAME", "SCOPE", "CREATED", "REVOKED"],
        keys.map { [$0.name, $0.scope.rawValue, $0.createdAt.rfc3339, $0.revokedAt?.rfc3339 ?? "-"] })
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Revoke a key. It and its sessions end at once.")

    @Argument(help: "Name of the key.")
    var name: String
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let revoked = try await withPool(try database.settings.database()) { pool in
        try await pool.transact(RevokeKey(name: name))
      }
      guard !revoked.isEmpty else { throw Failure("there is no key \(name) that is not revoked") }
      print("revoked")
    }
  }
}

extension AdminScope: ExpressibleByArgument {}
