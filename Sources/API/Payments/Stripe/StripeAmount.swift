/// Amounts of Stripe, and the same amounts in minor units of ISO 4217, in which products and orders have theirs.
///
/// The two differ only for the currencies below (https://docs.stripe.com/currencies#special-cases). All others have the
/// same amount on both sides, whatever the number of their digits.
package enum StripeAmount {
  /// ISO 4217 has no minor unit of these. Stripe counts hundredths, and the last two digits are always 0.
  private static let countedInHundredths = ["ISK", "UGX"]
  /// ISO 4217 has hundredths of it. Stripe counts whole units.
  private static let countedInWholeUnits = ["MGA"]

  /// - Parameter currency: in upper case.
  /// - Returns: nil if no order has that amount: it is not whole, or larger than 2^63 - 1.
  static func minorUnits(ofStripe amount: Int64, _ currency: String) -> Int64? {
    if countedInHundredths.contains(currency) { return hundredth(of: amount) }
    return countedInWholeUnits.contains(currency) ? hundredfold(of: amount) : amount
  }

  /// - Parameter currency: in upper case.
  /// - Returns: nil if Stripe has no such amount: it is not whole, or larger than 2^63 - 1.
  package static func ofStripe(minorUnits amount: Int64, _ currency: String) -> Int64? {
    if countedInHundredths.contains(currency) { return hundredfold(of: amount) }
    return countedInWholeUnits.contains(currency) ? hundredth(of: amount) : amount
  }

  private static func hundredth(of amount: Int64) -> Int64? { amount.isMultiple(of: 100) ? amount / 100 : nil }

  private static func hundredfold(of amount: Int64) -> Int64? {
    let (product, overflow) = amount.multipliedReportingOverflow(by: 100)
    return overflow ? nil : product
  }
}
