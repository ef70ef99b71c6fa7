/// All checks of a run.
package enum Checks {
  package static func all(_ evidence: Evidence) -> [CheckResult] {
    let ledger = Ledger(evidence)
    return [
      SoldExactly.check(evidence),
      NeverOversold.check(evidence, ledger),
      StockAsExpected.check(evidence, ledger),
      NothingLost.check(evidence, ledger),
      OneEffectPerKey.check(evidence),
      VerdictsExplained.check(evidence, ledger),
      ResponsesExplained.check(evidence, ledger),
      ResponsesKnown.check(evidence),
      InvariantsHold.check(evidence),
    ]
  }
}
