import TestSupport
import Testing

@testable import Postgres

@Suite struct ConnectionConfigurationTests {
  @Test func `the server gets the configured time limits`() async throws {
    try await withConnection { connection, _ in
      try await expect("statement_timeout", "5s", connection)
      try await expect("lock_timeout", "1500ms", connection)
      try await expect("idle_in_transaction_session_timeout", "10s", connection)
    }
    try await withConnection {
      ($0.statementTimeout, $0.lockTimeout) = (.milliseconds(1_500), .milliseconds(20))
      $0.idleInTransactionTimeout = .seconds(120)
    } _: { connection, _ in
      try await expect("statement_timeout", "1500ms", connection)
      try await expect("lock_timeout", "20ms", connection)
      try await expect("idle_in_transaction_session_timeout", "2min", connection)
    }
  }

  @Test func `the role, the database and the URL cannot change fixed parameters`() async throws {
    let hostile = [
      "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
      "default_transaction_deferrable": "on", "DateStyle": "German", "IntervalStyle": "iso_8601",
      "TimeZone": "Asia/Kathmandu", "standard_conforming_strings": "off", "bytea_output": "escape",
      "array_nulls": "off",
      "transform_null_equals": "on", "row_security": "off", "jit": "on", "plan_cache_mode": "force_custom_plan",
    ]
    try await withConnection { connection, configuration in
      let database = try await connection.text("current_database()")
      for (name, value) in hostile {
        for target in ["database \(database)", "role flashsale in database \(database)"] {
          try await connection.executeScript("alter \(target) set \(name) = '\(value)'")
        }
      }
      var configuration = configuration
      let options = hostile.map { "-c%20\($0.key)%3D\($0.value)" }.joined(separator: "%20")
      configuration.text += "?options=\(options)%20-c%20work_mem%3D5MB"
      try await withConnection(configuration) { connection in
        let later = [("plan_cache_mode", "auto")]
        for (name, value) in ConnectionConfiguration.fixedParameters.map({ ($0.key, $0.value) }) + later {
          try await expect(name, value, connection)
        }
        try await expect("transaction_isolation", "read committed", connection)
        try await expect("transaction_read_only", "off", connection)
        try await expect("work_mem", "5MB", connection)
      }
    }
  }

  /// Older versions of PostgreSQL do not have these settings.
  @Test func `idle_session_timeout and transaction_timeout of the database are disabled`() async throws {
    try await withConnection { connection, configuration in
      let database = try await connection.text("current_database()")
      for name in ["idle_session_timeout", "transaction_timeout"] {
        guard try await connection.text("current_setting('\(name)', true)") != "" else { continue }
        try await connection.executeScript("alter database \(database) set \(name) = '1h'")
        try await withConnection(configuration) { try await expect(name, "0", $0) }
      }
    }
  }

  @Test func `parameters with spaces, quotes and backslashes arrive unchanged`() async throws {
    try await withConnection {
      $0.parameters["test.value"] = #"a \ 'b' "c""#
    } _: { connection, _ in
      try await expect("test.value", #"a \ 'b' "c""#, connection)
    }
  }

  @Test func `the URL is not printed`() {
    let configuration = ConnectionConfiguration(url: "postgresql://user:hunter2@host/x?password=hunter2")
    var dumped = ""
    dump(configuration, to: &dumped)
    for text in ["\(configuration)", String(reflecting: configuration), dumped, "\([configuration])"] {
      #expect(!text.contains("hunter2"), "\(text)")
    }
  }

  @Test func `the server ends a statement after statement_timeout`() async throws {
    try await withConnection {
      $0.statementTimeout = .milliseconds(50)
    } _: { connection, _ in
      let error = try await postgresError { try await connection.execute(Sleep(milliseconds: 60_000)) }
      #expect(error.serverError?.sqlState == "57014")
      #expect(error.isDatabaseAway)
      #expect(connection.isReusable)
    }
  }

  @Test func `the server ends a wait for a lock after lock_timeout`() async throws {
    try await withConnection { holder, configuration in
      try await holder.holdLock()
      var impatient = configuration
      impatient.lockTimeout = .milliseconds(20)
      try await withConnection(impatient) { connection in
        let error = try await serverError { try await connection.execute(WaitForLock()) }
        #expect(error.sqlState == "55P03")
        #expect(connection.isReusable)
      }
    }
  }

  @Test func `the server ends an idle transaction and the connection is lost`() async throws {
    try await withConnection {
      $0.idleInTransactionTimeout = .milliseconds(50)
    } _: { connection, configuration in
      try await connection.executeScript("begin")
      try await withConnection(configuration) { observer in
        try await until("the server has ended it") { try await observer.otherConnections() == 0 }
      }
      let error = try await postgresError { try await connection.executeScript("commit") }
      #expect("\(error)" == "connection lost during commit: terminating connection due to idle-in-transaction timeout")
      #expect(connection.isBroken)
    }
  }

  @Test func `options in the URL override the configuration`() async throws {
    try await withConnection {
      $0.text += "?options=-c%20statement_timeout%3D1234ms%20-c%20work_mem%3D5MB"
    } _: { connection, _ in
      try await expect("statement_timeout", "1234ms", connection)
      try await expect("work_mem", "5MB", connection)
      try await expect("lock_timeout", "1500ms", connection)
    }
  }

  @Test func `client_encoding is UTF8 whatever the URL says`() async throws {
    try await withConnection {
      $0.text += "?client_encoding=LATIN1"
    } _: { connection, _ in
      try await expect("client_encoding", "UTF8", connection)
      #expect(try await connection.execute(Echo("漢字")) == ["漢字"])
    }
  }

  @Test func `application_name in the URL overrides the configured name`() async throws {
    try await withConnection {
      $0.applicationName = "it's \"ours\""
    } _: { connection, _ in
      try await expect("application_name", "it's \"ours\"", connection)
    }
    try await withConnection {
      $0.text += "?application_name=theirs"
    } _: { connection, _ in
      try await expect("application_name", "theirs", connection)
    }
  }

  @Test func `a connection string of keywords is accepted`() async throws {
    try await withConnection { connection, configuration in
      let keywords = ["host", "port", "user", "dbname"].map { "\($0)='\(configuration.value(of: $0) ?? "")'" }
      try await withConnection(ConnectionConfiguration(url: keywords.joined(separator: " "))) {
        let database = try await $0.text("current_database()")
        #expect(database == configuration.value(of: "dbname"))
      }
    }
  }

  @Test func `the problem of an invalid URL is one line`() throws {
    #expect(ConnectionConfiguration(url: "postgresql://user@%2Ftmp:5432/x?connect_timeout=1").urlProblem == nil)
    #expect(ConnectionConfiguration(url: "host=a,b dbname=x").urlProblem == nil)
    for url in ["postgresql://[::1/x", "postgresql://a/b?nonsense=1", "nonsense", "host=a nonsense=1"] {
      let problem = try #require(ConnectionConfiguration(url: url).urlProblem, "\(url)")
      #expect(!problem.isEmpty && !problem.contains("\n"))
    }
  }

  /// Expects the server's value of a setting.
  private func expect(
    _ setting: String, _ value: String, _ connection: Connection, at location: SourceLocation = #_sourceLocation
  ) async throws {
    #expect(try await connection.text("current_setting('\(setting)')") == value, sourceLocation: location)
  }
}
