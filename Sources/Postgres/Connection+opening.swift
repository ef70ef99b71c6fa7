import CLibPQ
import Time

extension Connection {
  /// Connects, which includes TLS and authentication. To be called once, before anything else.
  ///
  /// - Throws: `PostgresError.cannotConnect`, also when no host has answered in time; then nothing is left open.
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

  /// libpq goes on to the next host by itself when one refuses, but not, with its asynchronous calls, when one is silent.
  /// So it is given one at a time.
  private func connect(to host: ConnectionConfiguration.Host?) throws {
    let timeout = configuration.hostTimeout
    let deadline = Moment.now + timeout
    guard let handle = startConnecting(to: host) else { throw PostgresError.cannotConnect("out of memory") }
    self.handle = handle
    PQsetNoticeProcessor(handle, { _, _ in }, nil)
    // libpq asks to behave at first as if PQconnectPoll had returned "writing", and may change the socket in every poll.
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

  /// Without named statements there may be a pooler, and the next statement may run in another session.
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

  /// `dbname` is expanded as a connection string: it overrides what stands before it in the list, and what stands behind
  /// it overrides the same key in it.
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

  /// Closes the connection. Needed once for every connection; harmless when repeated.
  func close() {
    breakDown()
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
