import Postgres

extension ConnectionConfiguration {
  /// For the database of a checkout: nothing that a role or a database has set changes what its statements and functions
  /// mean.
  public static func checkout(url: String) -> ConnectionConfiguration {
    var configuration = ConnectionConfiguration(url: url)
    configuration.fixCheckoutParameters()
    return configuration
  }

  /// Statements name the schema of every function of the checkout, so nobody else's can come first.
  mutating func fixCheckoutParameters() {
    parameters["search_path"] = "pg_catalog, pg_temp"
    parameters["plpgsql.extra_errors"] = "none"
  }
}
