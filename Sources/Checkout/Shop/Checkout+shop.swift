extension Checkout {
  /// Reads the shop, for operators who watch it.
  ///
  /// - Parameter limit: after this time the result is `late`.
  package func shop(within limit: Duration) async -> Shop.Reading {
    await withTimeLimit(limit) {
      do { return .read(try await useCases.readShop(.whole)) } catch { return Shop.Reading(error) }
    } ?? .late
  }

  /// The requests that wait for the database on this server, at most `maximumInFlight`.
  package var inFlightCount: Int { useCases.admission.waitingCount }
}
