import TestSupport
import Testing

@testable import Postgres

@Suite struct ConnectionConfigurationTests {
  @Test func timeLimitsAreSetOnTheServer() async throws {
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

  @Test func isolationIsNotTheDatabasesChoice() async throws {
    try await withConnection { connection, configuration in
      let database = try await connection.text("current_database()")
      try await connection.executeScript(
        "alter database \(database) set default_transaction_isolation = 'repeatable read'")
      try await withConnection(configuration) { try await expect("transaction_isolation", "read committed", $0) }
    }
  }

  @Test func slowStatementIsEndedByTheServer() async throws {
    try await withConnection {
      $0.statementTimeout = .milliseconds(50)
    } _: { connection, _ in
      let error = try await postgresError { try await connection.execute(Sleep(milliseconds: 60_000)) }
      #expect(error.serverError?.sqlState == "57014")
      #expect(error.isDatabaseAway)
      #expect(connection.isReusable)
    }
  }

  @Test func longWaitForALockIsEndedByTheServer() async throws {
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

  @Test func silentTransactionIsEndedByTheServer() async throws {
    try await withConnection {
      $0.idleInTransactionTimeout = .milliseconds(50)
    } _: { connection, configuration in
      try await connection.executeScript("begin")
      try await withConnection(configuration) { observer in
        try await eventually("the server has ended it") { try await observer.neighbours() == 0 }
      }
      let error = try await postgresError { try await connection.executeScript("commit") }
      #expect("\(error)" == "connection lost during commit: terminating connection due to idle-in-transaction timeout")
      #expect(connection.isBroken)
    }
  }

  @Test func optionsInTheURLWin() async throws {
    try await withConnection {
      $0.text += "?options=-c%20statement_timeout%3D1234ms%20-c%20work_mem%3D5MB"
    } _: { connection, _ in
      try await expect("statement_timeout", "1234ms", connection)
      try await expect("work_mem", "5MB", connection)
      try await expect("lock_timeout", "1500ms", connection)
    }
  }

  @Test func textIsUTF8WhateverTheURLSays() async throws {
    try await withConnection {
      $0.text += "?client_encoding=LATIN1"
    } _: { connection, _ in
      try await expect("client_encoding", "UTF8", connection)
      #expect(try await connection.execute(Echo("漢字")) == ["漢字"])
    }
  }

  @Test func applicationNameIsOursUnlessTheURLHasOne() async throws {
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

  @Test func keywordStringsAreUnderstoodToo() async throws {
    try await withConnection { connection, configuration in
      let keywords = ["host", "port", "user", "dbname"].map { "\($0)='\(configuration.value(of: $0) ?? "")'" }
      try await withConnection(ConnectionConfiguration(url: keywords.joined(separator: " "))) {
        let database = try await $0.text("current_database()")
        #expect(database == configuration.value(of: "dbname"))
      }
    }
  }

  @Test func problemsOfAURLAreToldInOneLine() throws {
    #expect(ConnectionConfiguration(url: "postgresql://user@%2Ftmp:5432/x?connect_timeout=1").urlProblem == nil)
    #expect(ConnectionConfiguration(url: "host=a,b dbname=x").urlProblem == nil)
    for url in ["postgresql://[::1/x", "postgresql://a/b?nonsense=1", "nonsense", "host=a nonsense=1"] {
      let problem = try #require(ConnectionConfiguration(url: url).urlProblem, "\(url)")
      #expect(!problem.isEmpty && !problem.contains("\n"))
    }
  }

  /// Expects what the server has for a setting.
  private func expect(
    _ setting: String, _ value: String, _ connection: Connection, at location: SourceLocation = #_sourceLocation
  ) async throws {
    #expect(try await connection.text("current_setting('\(setting)')") == value, sourceLocation: location)
  }
}
