import Foundation
import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// Random sequences of operations on a few products. After each step the database is compared with the model.
///
/// `FLASHSALE_INTERLEAVINGS` sets the number of sequences. `FLASHSALE_SEED` repeats those of a failure.
@Suite struct ModelTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let interleavings = environment["FLASHSALE_INTERLEAVINGS"].flatMap { Int($0) } ?? 150
  private static let seed = environment["FLASHSALE_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...999_999_999)
  private static let steps = 25
  /// The number of databases on which sequences run in parallel.
  private static let parallelism = 4

  @Test func `random sequences of operations agree with the model`() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<Self.parallelism {
        group.addTask {
          try await TestDatabases.withDatabase { url in
            try await withCheckout(on: url) { checkout, pool in
              for number in stride(from: worker, to: Self.interleavings, by: Self.parallelism) {
                let seed = Self.seed + UInt64(number)
                var interleaving = Interleaving(seed: seed, checkout: checkout, pool: pool)
                do {
                  try await interleaving.run(steps: Self.steps)
                } catch {
                  Issue.record("FLASHSALE_SEED=\(seed) FLASHSALE_INTERLEAVINGS=1: \(error)")
                  return
                }
              }
              try await checkout.expectCleanAudit()
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
