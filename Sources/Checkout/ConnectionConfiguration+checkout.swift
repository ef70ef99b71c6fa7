import Postgres
import Secrets

extension ConnectionConfiguration {
  /// For the database of a checkout: nothing that a role or a database has set changes what its statements and functions
  /// mean.
  package static func checkout(url: Secret) -> ConnectionConfiguration {
    var configuration = ConnectionConfiguration(url: url)
    configuration.fixCheckoutParameters()
    return configuration
  }

  /// For a URL without anything secret in it.
  package static func checkout(url: String) -> ConnectionConfiguration {
    checkout(url: Secret(url))
  }

  /// Statements name the schema of every function of the checkout, so nobody else's can come first.
  mutating func fixCheckoutParameters() {
    parameters["search_path"] = "pg_catalog, pg_temp"
    parameters["plpgsql.extra_errors"] = "none"
  }
}
