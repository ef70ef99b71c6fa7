/// Releases an active hold, and returns its units to the stock. A hold that is not active stays unchanged.
///
/// The outcome is the hold afterwards, nil for an unknown hold.
struct ReleaseHold: UseCaseByID {
  typealias Found = Hold
  static let function = "release_holds"

  func changesStock(_ hold: Hold?) -> Bool { hold?.status == .released }
}
