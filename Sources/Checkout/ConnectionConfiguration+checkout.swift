import Postgres
import Secrets

extension ConnectionConfiguration {
  /// The configuration for the checkout's database. Settings of a role or a database do not change the results of its
  /// statements and functions.
  package static func checkout(url: Secret) -> ConnectionConfiguration {
    var configuration = ConnectionConfiguration(url: url)
    configuration.fixCheckoutParameters()
    return configuration
  }

  /// For a URL without a password.
  package static func checkout(url: String) -> ConnectionConfiguration {
    checkout(url: Secret(url))
  }

  /// Statements name the schema of every function of the checkout. So functions in other schemas cannot take
  /// precedence.
  mutating func fixCheckoutParameters() {
    parameters["search_path"] = "pg_catalog, pg_temp"
    parameters["plpgsql.extra_errors"] = "none"
  }
}
