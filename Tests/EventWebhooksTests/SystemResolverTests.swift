import Addresses
import Dispatch
import Synchronization
import Testing

@testable import EventWebhooks

@Suite struct SystemResolverTests {
  @Test func `a name whose look-up takes too long occupies one thread, however often it is asked for`() async throws {
    let begun = Mutex(0)
    let end = DispatchSemaphore(value: 0)
    let address = try #require(IPAddress("192.0.2.1"))
    let lookUp: @Sendable (String) -> SystemResolver.LookUpResult = { _ in
      begun.withLock { $0 += 1 }
      end.wait()
      return .success([address])
    }
    let resolver = SystemResolver(timeLimit: .milliseconds(50), lookUp: lookUp)
    for _ in 0..<3 {
      await #expect(throws: EndpointRefusal.lookUpTimedOut) { try await resolver.addresses(of: "silent.example") }
    }
    #expect(begun.withLock { $0 } <= 1)
    // A look-up that joins the first one gets its addresses.
    async let found = SystemResolver(timeLimit: .seconds(30), lookUp: lookUp).addresses(of: "silent.example")
    end.signal()
    end.signal()
    #expect(try await found == [address])
    #expect(begun.withLock { $0 } <= 2)
  }

  @Test func `an address is found without a name server`() async throws {
    #expect(try await SystemResolver().addresses(of: "127.0.0.1") == [IPAddress("127.0.0.1")])
  }
}
