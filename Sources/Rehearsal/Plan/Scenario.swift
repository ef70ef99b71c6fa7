/// The settings of a rehearsal. With the same scenario, two runs send the same requests in the same order.
package struct Scenario: Codable, Equatable, Sendable {
  package static let buyersRange = 1...1_000_000
  package static let stockRange = 1...1_000_000
  package static let secondsRange = 0.1...3600.0
  package static let duplicatesRange = 1...20
  package static let waitRange = 0.0...3600.0

  /// 1 to 1,000,000.
  package var buyers = 20_000
  /// Units, 1 to 1,000,000.
  package var stock = 500
  package var arrival = ArrivalPattern.spike
  /// The time in which all buyers arrive, 0.1 to 3600.
  package var seconds = 60.0
  /// The share of buyers that hold units and do not order them. A third of them release the hold.
  package var abandon = 0.25
  /// The share of buyers whose payment fails. Half of them pay again.
  package var fail = 0.05
  /// Deliveries of each payment event, 1 to 20.
  package var duplicates = 3
  /// The share of buyers whose payment comes before their order.
  package var early = 0.02
  /// The share of buyers whose payment comes after their order has expired.
  package var late = 0.02
  /// The share of buyers that are bots. A bot asks again and again after a refusal.
  package var bots = 0.1
  package var seed: UInt64 = 1
  /// The longest time for orders and payments after the last arrival, in seconds, 0 to 3600.
  package var wait = 60.0

  /// Minor units of `currency`.
  package static let price = 5000
  package static let currency = "USD"

  package init() {}

  /// What is wrong with the settings. Nil if they are valid.
  package var problem: String? {
    if !Self.buyersRange.contains(buyers) { return "--buyers must be from 1 to \(Self.buyersRange.upperBound)" }
    if !Self.stockRange.contains(stock) { return "--stock must be from 1 to \(Self.stockRange.upperBound)" }
    if !Self.secondsRange.contains(seconds) { return "--seconds must be from 0.1 to 3600" }
    if !Self.duplicatesRange.contains(duplicates) { return "--duplicates must be from 1 to 20" }
    if !Self.waitRange.contains(wait) { return "--wait must be from 0 to 3600" }
    let shares = [("abandon", abandon), ("fail", fail), ("early", early), ("late", late), ("bots", bots)]
    for (name, share) in shares where !(0...1).contains(share) { return "--\(name) must be from 0 to 1" }
    if abandon + fail + early + late > 1 {
      return "--abandon, --fail, --early and --late must not add up to more than 1"
    }
    return nil
  }
}
