import Foundation
import TestSupport
import Testing
import Time

@testable import Postgres

@Suite struct ConnectionTests {
  // MARK: Opening

  @Test func `connecting to a port without a listener fails with connection refused`() async throws {
    var url = ""
    do { url = try SilentServer().url }  // the server is closed at once, so the port refuses
    let error = try await connectError(ConnectionConfiguration(url: url))
    #expect(error.contains("Connection refused"))
  }

  @Test func `connecting to an unknown database fails with the server's message`() async throws {
    try await withConnection { _, configuration in
      let url = configuration.text.database("nowhere")
      let error = try await connectError(ConnectionConfiguration(url: url))
      #expect(error.contains(#"database "nowhere" does not exist"#))
    }
  }

  @Test func `connecting to a missing socket fails with no such file or directory`() async throws {
    let error = try await connectError(ConnectionConfiguration(url: "postgresql://%2Fnowhere/x"))
    #expect(error.contains("No such file or directory"))
  }

  @Test func `connecting to a silent server fails after the connect timeout`() async throws {
    let server = try SilentServer()
    var configuration = ConnectionConfiguration(url: server.url)
    configuration.connectTimeout = .milliseconds(100)
    let error = try await connectError(configuration)
    #expect(error == "no answer within 0.1 seconds")
  }

  @Test func `the second host is tried when the first refuses the connection`() async throws {
    let dead = try SilentServer().port
    try await withConnection {
      $0.text.replace("@", with: "@127.0.0.1:\(dead),")
    } _: { connection, _ in
      #expect(try await connection.integer("select 1") == 1)
      try await connection.executeScript("select 1")
    }
  }

  /// libpq itself would wait for the first host without a limit.
  @Test func `the second host is tried when the first does not answer`() async throws {
    let silent = try SilentServer()
    try await withConnection {
      $0.text.replace("@", with: "@127.0.0.1:\(silent.port),")
      $0.connectTimeout = .milliseconds(200)
    } _: { connection, _ async throws in
      #expect(silent.newConnections() == 1)
      #expect(try await connection.integer("select 1") == 1)
    }
  }

  @Test func `the error names every host when no host answers`() async throws {
    let servers = [try SilentServer(), try SilentServer()]
    let dead = try SilentServer().port
    let hosts = servers.map { "127.0.0.1:\($0.port)" }
    var configuration = ConnectionConfiguration(
      url: "postgresql://nobody@\(hosts.joined(separator: ",")),127.0.0.1:\(dead)/x")
    configuration.connectTimeout = .milliseconds(100)
    let error = try await connectError(configuration)
    for host in hosts { #expect(error.contains("\(host): no answer within 0.1 seconds"), "\(error)") }
    #expect(error.contains("Connection refused"), "\(error)")
  }

  /// Each host is tried alone. libpq ignores an empty port, and would use the URL's list of ports for the one host.
  @Test(arguments: ["127.0.0.1,127.0.0.2", "127.0.0.1:5432,127.0.0.2"])
  func `a host without a port gets port 5432`(hosts: String) async throws {
    let error = try await connectError(ConnectionConfiguration(url: "postgresql://nobody@\(hosts)/x"))
    for host in ["127.0.0.1", "127.0.0.2"] { #expect(error.contains("\"\(host)\", port 5432"), "\(error)") }
  }

  @Test func `connect_timeout in the URL overrides the configured connect timeout`() async throws {
    let server = try SilentServer()
    var configuration = ConnectionConfiguration(url: server.url + "&connect_timeout=1")
    configuration.connectTimeout = .seconds(60)
    let error = try await connectError(configuration)
    #expect(error == "no answer within 1.0 seconds")
  }

  @Test func `a read-only host is skipped when the URL asks for read-write`() async throws {
    try await withServer { standby in
      // To a client this server looks like a standby: every session is read-only.
      try await withConnection(ConnectionConfiguration(url: standby.databaseURL("postgres"))) {
        try await $0.executeScript("alter database postgres set default_transaction_read_only = on")
      }
      try await withConnection { _, configuration in
        let hosts = try [ConnectionConfiguration(url: standby.databaseURL()), configuration].map {
          try #require($0.value(of: "host"))
        }
        var several = ConnectionConfiguration(
          url: "host=\(hosts.joined(separator: ",")) port=5432,5432 user=flashsale dbname=postgres "
            + "target_session_attrs=read-write")
        several.parameters["default_transaction_read_only"] = nil
        try await withConnection(several) { connection async throws in
          #expect(try await connection.text("current_setting('unix_socket_directories')") == hosts[1])
        }
      }
    }
  }

  /// This happens when a primary becomes a standby.
  @Test func `a connection is lost when its session becomes read-only`() async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript("set default_transaction_read_only = on")
      let error = try await serverError { try await connection.executeScript("create table x (y int)") }
      #expect(error.sqlState == "25006")
      #expect(connection.isLost)
    }
  }

  @Test func `a statement without an answer by the deadline loses the connection`() async throws {
    try await withConnection { holder, configuration in
      try await holder.holdLock()
      try await withConnection(configuration) { connection in
        let error = try await postgresError {
          try await connection.waitForLock(by: .now + .milliseconds(50))
        }
        // Without the deadline, the server's lock timeout would end the wait. The connection would stay usable.
        #expect(error.isConnectionLost && connection.isLost)
      }
    }
  }

  // MARK: Errors of SQL

  @Test func `a connection is reusable after an SQL error`() async throws {
    try await withConnection { connection, _ in
      let error = try await serverError { try await connection.executeScript("select 1/0") }
      #expect(error.sqlState == "22012")
      #expect(connection.isReusable)
      let answer = try await connection.execute(Echo("still here"))
      #expect(answer == ["still here"])
    }
  }

  @Test func `a connection in an open transaction is not reusable`() async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript("begin")
      #expect(!connection.isReusable && !connection.isBroken)
      try await serverError { try await connection.executeScript("select 1/0") }
      #expect(!connection.isReusable && !connection.isBroken)
      let error = try await serverError { try await connection.execute(Echo("")) }
      #expect(error.sqlState == "25P02")
      try await connection.executeScript("rollback")
      #expect(connection.isReusable)
    }
  }

  @Test func `an error inside a script undoes the whole script`() async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript("create table t (n integer)")
      let script = "insert into t values (1); insert into t select 1/0; insert into t values (2)"
      let error = try await serverError { try await connection.executeScript(script) }
      #expect(error.sqlState == "22012")
      #expect(connection.isReusable)
      let count = try await connection.integer("select count(*) from t")
      #expect(count == 0)
    }
  }

  /// The server sends the statement's rows before the commit fails.
  @Test func `a statement that fails at commit throws the server's error`() async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript(
        """
        create table parents (id integer primary key);
        create table children (id integer, parent integer references parents deferrable initially deferred);
        create function add_child() returns bigint
          begin atomic
            insert into children values (1, 1) returning id::bigint;
          end
        """)
      let error = try await serverError { try await connection.execute(AddChild()) }
      #expect(error.sqlState == "23503")
      #expect(error.statement == "add_child")
      #expect(connection.isReusable)
      let count = try await connection.integer("select count(*) from children")
      #expect(count == 0)
      try await connection.executeScript("insert into parents values (1)")
      let rows = try await connection.execute(AddChild())
      #expect(rows == [1])
    }
  }

  private struct AddChild: PreparedStatement {
    static let name = "add_child"
    static let sql = "select add_child()"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Int64 { try row.decode() }
  }

  /// During COPY, libpq returns the same result again and again.
  @Test(arguments: ["copy t from stdin", "copy t to stdout", "select 1; copy t from stdin"])
  func `COPY is refused and breaks the connection`(script: String) async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript("create table t (n integer); insert into t values (1)")
      try await postgresError { try await connection.executeScript(script) }
      #expect(connection.isBroken)
    }
  }

  // MARK: Volume

  /// No buffer on the way holds a value of this size. So the connection must read while it writes.
  @Test func `values of tens of megabytes are sent and received`() async throws {
    try await withConnection {
      $0.statementTimeout = .seconds(30)
    } _: { connection, _ in
      let text = String(repeating: "0123456789abcdef", count: 2_000_000)
      for _ in 0..<2 {
        let answer = try await connection.execute(Echo(text))
        #expect(answer.count == 1 && answer[0] == text)
      }
      #expect(connection.isReusable)
    }
  }

  @Test func `thousands of statements in a row succeed on one connection`() async throws {
    try await withConnection { connection, _ in
      for number in 0..<3_000 {
        let answer = try await connection.execute(Echo(Int32(number)))
        try #require(answer == [Int32(number)])
      }
    }
  }

  @Test func `a result of 50,000 rows arrives whole and in order`() async throws {
    try await withConnection { connection, _ in
      let rows = try await connection.execute(Series(count: 50_000))
      #expect(rows == Array(1...50_000))
    }
  }

  private struct Series: PreparedStatement {
    static let name = "series"
    static let sql = "select n::bigint from generate_series(1, $1::bigint) as n"
    let count: Int64
    func bind(to parameters: inout Parameters) { parameters.append(count) }
    static func decode(_ row: inout Row) throws -> Int64 { try row.decode() }
  }

  // MARK: Loss

  @Test func `a closed connection refuses statements`() async throws {
    try await withConnection { _, configuration in
      let connection = try await Connection.connect(configuration)
      await connection.close()
      await connection.close()
      #expect(connection.isBroken)
      let error = try await postgresError { try await connection.execute(Echo("")) }
      #expect(error.isConnectionLost)
    }
  }

  @Test func `a statement fails with the server's message when its backend is terminated`() async throws {
    try await withConnection { connection, configuration in
      try await withConnection(configuration) { other in
        try await other.holdLock()
        let processID = try await connection.processID()
        async let waiting = postgresError { try await connection.execute(WaitForLock()) }
        try await until("the statement waits") { try await other.waitingForLock() == 1 }
        try await other.terminate(processID)
        let error = try await waiting
        #expect(error.isConnectionLost)
        #expect("\(error)".contains("terminating connection due to administrator command"), "\(error)")
        #expect(connection.isBroken)
        let next = try await postgresError { try await connection.execute(Echo("")) }
        #expect(next.isConnectionLost)
      }
    }
  }

  @Test func `an idle connection notices that its backend was terminated`() async throws {
    try await withConnection { connection, configuration in
      let processID = try await connection.processID()
      #expect(connection.isReusable)
      try await withConnection(configuration) { try await $0.terminate(processID) }
      try await until("the loss is noticed") { !connection.isReusable }
    }
  }

  /// Each loss closes a file descriptor. The next connection gets its number while the lost `Connection` still exists.
  /// The test uses TCP: there the server's end is no hang-up, which Dispatch would notice by itself.
  @Test func `file descriptors of lost connections can be used again`() async throws {
    let server = try SilentServer()
    var configuration = ConnectionConfiguration(url: server.url)
    configuration.connectTimeout = .seconds(60)  // other tests may delay the server's answer
    var lost: [Connection] = []
    var ends: [Int32] = []
    for _ in 0..<20 {
      let (stream, sink) = AsyncStream.makeStream(of: Postgres.Notification.self)
      async let connecting = Connection.connect(configuration, notifications: sink)
      try await until("the client connects") {
        guard let end = server.logIn() else { return false }
        ends.append(end)
        return true
      }
      let connection = try await connecting
      #expect(connection.isReusable)
      shutdown(ends.last!, Int32(SHUT_WR))
      try await until("the loss is noticed") { connection.isBroken }
      for await _ in stream { Issue.record("no notification was sent") }
      lost.append(connection)
    }
    for connection in lost { await connection.close() }
    for end in ends { close(end) }
  }

  @Test func `a statement fails when the server stops answering`() async throws {
    try await withServer { server in
      var configuration = ConnectionConfiguration(url: server.databaseURL())
      (configuration.statementTimeout, configuration.responseGrace) = (.milliseconds(200), .milliseconds(200))
      // With the small value the client waits for the answer. With the large one it is still sending.
      for size in [1, 32_000_000] {
        try await withConnection(configuration) { connection in
          let processID = try await connection.processID()
          kill(processID, SIGSTOP)
          defer { kill(processID, SIGCONT) }
          let text = String(repeating: "x", count: size)
          let error = try await postgresError { try await connection.execute(Echo(text)) }
          #expect("\(error)" == "connection lost during echo_25: no answer in time")
          #expect(connection.isBroken)
        }
      }
    }
  }

  /// No buffer on the way holds the statement, so the client is still sending when the server ends.
  @Test(.timeLimit(.minutes(1))) func `a statement fails when the server ends while it is being sent`() async throws {
    let server = try SilentServer()
    var configuration = ConnectionConfiguration(url: server.url)
    configuration.usesNamedStatements = false
    configuration.connectTimeout = .seconds(60)
    configuration.statementTimeout = .seconds(300)
    async let connecting = Connection.connect(configuration)
    var end: Int32 = -1
    try await until("the client connects") {
      end = server.logIn() ?? -1
      return end >= 0
    }
    let connection = try await connecting
    async let sending = postgresError {
      try await connection.execute(Echo(String(repeating: "x", count: 32_000_000)))
    }
    try await until("the statement is being sent") { !connection.isReusable }
    close(end)
    let error = try await sending
    #expect(error.isConnectionLost)
    #expect(connection.isBroken)
    await connection.close()
  }

  @Test func `a wrong password is refused and the error does not show it`() async throws {
    try await withServer(rules: "local all flashsale trust\nlocal all all scram-sha-256\n") { server in
      try await withConnection(ConnectionConfiguration(url: server.databaseURL())) {
        try await $0.executeScript("create role buyer login password 'right'")
      }
      let url = server.databaseURL().replacing("flashsale@", with: "buyer:wrong@")
      let error = try await connectError(ConnectionConfiguration(url: url))
      #expect(error.contains("password authentication failed"))
      #expect(!error.contains("wrong"))
      let right = ConnectionConfiguration(url: url.replacing("wrong", with: "right"))
      let user = try await withConnection(right) { try await $0.text("current_user") }
      #expect(user == "buyer")
    }
  }

  /// The test runs in a process of its own, so that no other test opens descriptors meanwhile.
  @Test func `connecting and closing leaks no file descriptor`() async throws {
    try await withConnection { observer, configuration in
      await #expect(processExitsWith: .success) { [url = configuration.text as String] in
        let configuration = ConnectionConfiguration(url: url)
        let unknown = ConnectionConfiguration(url: url.database("nowhere"))
        func openAndClose(times: Int) async throws {
          for _ in 0..<times {
            let connection = try await Connection.connect(configuration)
            _ = try await connection.execute(Echo(Int32(1)))
            await connection.close()
            try await postgresError { try await Connection.connect(unknown) }
          }
        }
        func openDescriptors() throws -> Int {
          try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }
        try await openAndClose(times: 5)
        let before = try openDescriptors()
        try await openAndClose(times: 250)
        try await until("all descriptors are closed") { try openDescriptors() <= before }
      }
      try await until("the server has closed all connections") { try await observer.otherConnections() == 0 }
    }
  }

  private func connectError(
    _ configuration: ConnectionConfiguration, at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let error = try await postgresError(at: location) { try await Connection.connect(configuration) }
    guard case .cannotConnect(let message) = error else {
      Issue.record("\(error)", sourceLocation: location)
      return ""
    }
    #expect(!message.isEmpty && !message.contains("\n"), sourceLocation: location)
    return message
  }
}

extension Connection {
  fileprivate func waitForLock(by deadline: Moment) throws {
    try answering(by: deadline) { _ = try $0.run(WaitForLock()) }
  }
}
