import CLibPQ
import Time

extension Connection {
  /// Connects, negotiates TLS and authenticates (PostgreSQL documentation, chapter 34.1). Call it once, before any
  /// other method.
  ///
  /// - Throws: `PostgresError.cannotConnect` when no host accepted the connection in time. The connection is closed
  ///   then.
  func open() throws {
    do {
      try connect()
    } catch {
      close()
      throw error
    }
  }

  private func connect() throws {
    var problems: [String] = []
    for host in configuration.hosts {
      do {
        return try connect(to: host)
      } catch PostgresError.cannotConnect(let message) {
        problems.append(message)
        if let handle { PQfinish(handle) }
        handle = nil
      }
    }
    throw PostgresError.cannotConnect(problems.joined(separator: "; "))
  }

  /// Connects to one host. With several hosts, libpq's asynchronous calls try the next host after a refusal. They do
  /// not try it when a host is silent. So libpq gets one host at a time.
  private func connect(to host: ConnectionConfiguration.Host?) throws {
    let timeout = configuration.hostTimeout
    let deadline = Moment.now + timeout
    guard let handle = startConnecting(to: host) else { throw PostgresError.cannotConnect("out of memory") }
    self.handle = handle
    PQsetNoticeProcessor(handle, { _, _ in }, nil)
    // The first wait is for "writing" (PostgreSQL documentation, chapter 34.1). Each poll may open another socket.
    var status = PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
    while status != PGRES_POLLING_OK {
      guard status != PGRES_POLLING_FAILED else { throw PostgresError.cannotConnect(errorMessage(handle)) }
      let direction: SocketReadiness = status == PGRES_POLLING_READING ? .readable : .writable
      if waitUntilReady(PQsocket(handle), for: direction, deadline: deadline).isEmpty {
        let place = host.map { "\($0.name): " } ?? ""
        throw PostgresError.cannotConnect("\(place)no answer within \(timeout)")
      }
      status = PQconnectPoll(handle)
    }
    PQsetnonblocking(handle, 1)
    socket.store(PQsocket(handle), ordering: .relaxed)
    cancelHandle = CancelHandle(handle)
    if notificationSink != nil {
      guard let descriptor = duplicateForWatching(PQsocket(handle)) else {
        throw PostgresError.cannotConnect("out of file descriptors")
      }
      watchForNotifications(descriptor)
    }
    condition.store(.reusable, ordering: .releasing)
    try answering(by: deadline) { try $0.setLaterParameters() }
  }

  /// Sets the parameters that some versions lack. Without named statements it sets none. A pooler may be in between,
  /// and the next statement may run in another session.
  private func setLaterParameters() throws {
    guard names.areUsed, let handle else { return }
    let version = PQserverVersion(handle)
    let statements = ConnectionConfiguration.laterParameters.filter { $0.since <= version }.map {
      "set \($0.name) = '\($0.value)'"
    }
    if statements.isEmpty { return }
    do {
      try executeScript(statements.joined(separator: "; "), name: "set_parameters")
    } catch {
      throw PostgresError.cannotConnect("\(error)")
    }
  }

  /// libpq expands `dbname` as a connection string. The string overrides the settings before it. The settings after it
  /// override the string.
  private func startConnecting(to host: ConnectionConfiguration.Host?) -> OpaquePointer? {
    var settings = ConnectionConfiguration.networkDefaults
    settings += [
      ("dbname", configuration.url.revealed()),
      ("client_encoding", "UTF8"),
      ("fallback_application_name", configuration.applicationName),
      ("options", configuration.sessionOptions),
    ]
    settings += host?.settings ?? []
    return withCStrings(settings.map(\.0)) { keys in
      withCStrings(settings.map(\.1)) { values in PQconnectStartParams(keys, values, 1) }
    }
  }

  /// Closes the connection. Call it at least once for each connection.
  func close() {
    markUnusable()
    cancelHandle = nil
    if let handle {
      self.handle = nil
      PQfinish(handle)
    }
  }
}

/// Lends an array of C strings that ends with a null pointer.
private func withCStrings<Result>(
  _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
  let bytes = strings.map { Array($0.utf8CString) }
  func lend(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Result {
    guard index < bytes.count else { return body(pointers + [nil]) }
    return bytes[index].withUnsafeBufferPointer { lend(index + 1, pointers + [$0.baseAddress]) }
  }
  return lend(0, [])
}
