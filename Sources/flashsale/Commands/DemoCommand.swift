import API
import ArgumentParser
import LocalPostgres
import Logging

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "Start a private PostgreSQL with one product, and serve API and pages on loopback.",
    discussion: "It needs no setting. The data stays in the data directory for the next start. Ctrl-C stops both.")

  @Option(help: "Port to listen on, 0 to 65535; 0 means any free port.")
  var port: String = "8080"
  @Option(help: "Directory of the database; created if missing.")
  var dataDir = ".flashsale"

  func run() async throws {
    // The private database replaces any database that the environment names.
    var flags: [String: String?] = [
      "HOST": "127.0.0.1", "PORT": port, "DATABASE_URL_FILE": "", "LISTEN_DATABASE_URL_FILE": "",
      "LISTEN_DATABASE_URL": "",
    ]
    // The settings are checked before the database starts, so with a placeholder for its URL.
    let given = Settings(flags: flags.merging(["DATABASE_URL": "postgresql://"]) { $1 })
    try given.validate(allowsUnsignedWebhooks: true)
    let givenToken = try given.adminToken()
    let adminToken = givenToken?.revealed() ?? Self.makeToken()
    flags.merge(["ADMIN_TOKEN": adminToken, "ADMIN_TOKEN_FILE": ""]) { $1 }
    let stripeSecret = try given.stripeWebhookSecrets().isEmpty ? "whsec_" + Self.makeToken() : nil
    if let stripeSecret { flags["STRIPE_WEBHOOK_SECRETS"] = stripeSecret }
    let server = try given.server(allowsUnsigned: true, isDemo: true)
    // With secrets, the server requires signatures.
    let (acceptsUnsignedEvents, hasPages) = (server.webhookVerifier == nil, server.pages != nil)
    let logger = try given.logger()
    print("Starting a private PostgreSQL in \(dataDir) ...")
    try await LocalPostgres.withServer(directory: dataDir, logger: logger) { [flags] postgres in
      let databaseURL = postgres.databaseURL()
      let settings = Settings(flags: flags.merging(["DATABASE_URL": databaseURL]) { $1 })
      let database = try settings.database()
      try await runServer(
        settings, allowsUnsignedWebhooks: true, isDemo: true, logger: logger,
        prepare: { try await migrateDatabase(database, seed: true) }
      ) { url in
        let payment =
          acceptsUnsignedEvents
          ? #"curl \#(url)/api/payments/webhook -d '{"idempotency_key":"pay-1","order_id":"<order_id>","status":"success"}'"#
          : "flashsale pay <order_id> --url \(url)"
        // The operator knows a token from a setting. Printing it would store it in the terminal's history.
        print(
          Self.welcome(
            url: url, hasPages: hasPages, payment: payment,
            stripeSecret: stripeSecret.map { "STRIPE_WEBHOOK_SECRETS=\($0) " } ?? "",
            adminToken: givenToken == nil ? adminToken : "$ADMIN_TOKEN", databaseURL: databaseURL))
      }
      print("Stopped. The data stays in \(dataDir).")
    }
  }

  private static func makeToken() -> String {
    (0..<4).map { _ in String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16) }.joined()
  }

  /// - Parameter stripeSecret: the assignment of the setting that the command `pay` needs.
  private static func welcome(
    url: String, hasPages: Bool, payment: String, stripeSecret: String, adminToken: String, databaseURL: String
  ) -> String {
    """
    \(hasPages ? "\nOpen \(url) in a browser, and buy. The API is explained at \(url)/docs.\n" : "")
    flashsale serves on \(url)

    Buy something, from another terminal:

      curl \(url)/api/products/1
      curl \(url)/api/holds -d '{"product_id":1,"quantity":2}'
      curl \(url)/api/orders -d '{"hold_id":"<hold_id>"}'
      \(payment)

    Or pay as Stripe does:

      \(stripeSecret)flashsale pay <order_id> --as stripe --url \(url)

    Operate it\(hasPages ? " at \(url)/dashboard, with the admin token, or from a terminal" : ""):

      curl -H "Authorization: Bearer \(adminToken)" \(url)/api/admin/invariants
      psql '\(databaseURL)'

    Ctrl-C stops it.

    """
  }
}
