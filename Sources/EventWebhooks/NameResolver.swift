import Addresses
import Glibc
import NIOPosix

/// Finds the addresses of a name.
protocol NameResolver: Sendable {
  /// - Returns: at least one address, the preferred one first.
  /// - Throws: `EndpointRefusal`, `CancellationError`.
  func addresses(of name: String) async throws -> [IPAddress]
}

/// The resolver of the system (getaddrinfo(3)), with `/etc/hosts` and the DNS.
struct SystemResolver: NameResolver {
  /// getaddrinfo waits up to 30 s for a silent name server, and cannot be cancelled.
  private static let timeLimit: Duration = .seconds(5)

  /// getaddrinfo blocks its thread, so it must not run on a cooperative thread. The threads are of this resolver alone,
  /// because the name servers of a receiver may be silent on purpose.
  private static let threads: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 8)
    pool.start()
    return pool
  }()

  func addresses(of name: String) async throws -> [IPAddress] {
    let (results, result) = AsyncStream.makeStream(of: Result<[IPAddress], EndpointRefusal>.self)
    Self.threads.submit { _ in result.yield(Self.lookUp(name)) }
    let timer = Task {
      try? await Task.sleep(for: Self.timeLimit)
      result.yield(.failure(.lookUpTimedOut))
    }
    defer { timer.cancel() }
    for await first in results { return try first.get() }
    throw CancellationError()
  }

  private static func lookUp(_ name: String) -> Result<[IPAddress], EndpointRefusal> {
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
