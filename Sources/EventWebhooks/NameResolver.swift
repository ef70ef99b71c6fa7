import Addresses
import Glibc
import NIOPosix
import Synchronization

/// Finds the addresses of a name.
protocol NameResolver: Sendable {
  /// - Returns: at least one address, the preferred one first.
  /// - Throws: `EndpointRefusal`, `CancellationError`.
  func addresses(of name: String) async throws -> [IPAddress]
}

/// The resolver of the system (getaddrinfo(3)), with `/etc/hosts` and the DNS.
struct SystemResolver: NameResolver {
  typealias LookUpResult = Result<[IPAddress], EndpointRefusal>

  /// getaddrinfo waits up to 30 s for a silent name server, and cannot be cancelled.
  var timeLimit: Duration = .seconds(5)
  /// Blocks its thread.
  var lookUp: @Sendable (String) -> LookUpResult = { SystemResolver.systemAddresses(of: $0) }

  /// getaddrinfo blocks its thread, so it must not run on a cooperative thread. The threads are of this resolver alone,
  /// because the name servers of a receiver may be silent on purpose.
  private static let threads: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 8)
    pool.start()
    return pool
  }()

  /// Who waits for the look-up of each name. A look-up occupies its thread beyond the time limit, so another one of the
  /// same name joins it. Otherwise the retries of one endpoint could occupy all threads.
  private static let waiting = Mutex<[String: [AsyncStream<LookUpResult>.Continuation]]>([:])

  func addresses(of name: String) async throws -> [IPAddress] {
    let (results, result) = AsyncStream.makeStream(of: LookUpResult.self)
    let isFirst = Self.waiting.withLock { waiting in
      waiting[name, default: []].append(result)
      return waiting[name]?.count == 1
    }
    if isFirst {
      Self.threads.submit { [lookUp] _ in
        let found = lookUp(name)
        let waiters = Self.waiting.withLock { $0.removeValue(forKey: name) } ?? []
        for waiter in waiters { waiter.yield(found) }
      }
    }
    let timer = Task { [timeLimit] in
      try? await Task.sleep(for: timeLimit)
      result.yield(.failure(.lookUpTimedOut))
    }
    defer { timer.cancel() }
    for await first in results { return try first.get() }
    throw CancellationError()
  }

  private static func systemAddresses(of name: String) -> LookUpResult {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var first: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(name, nil, &hints, &first) == 0 else { return .failure(.unknownName) }
    defer { freeaddrinfo(first) }
    var found: [IPAddress] = []
    var next = first
    while let entry = next {
      if let address = address(of: entry.pointee), !found.contains(address) { found.append(address) }
      next = entry.pointee.ai_next
    }
    return found.isEmpty ? .failure(.unknownName) : .success(found)
  }

  private static func address(of entry: addrinfo) -> IPAddress? {
    let raw = UnsafeRawPointer(entry.ai_addr)
    switch entry.ai_family {
    case AF_INET: return raw.map { IPAddress($0.loadUnaligned(as: sockaddr_in.self).sin_addr) }
    case AF_INET6: return raw.map { IPAddress($0.loadUnaligned(as: sockaddr_in6.self).sin6_addr) }
    default: return nil
    }
  }
}
