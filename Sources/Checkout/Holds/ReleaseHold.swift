/// Gives back the units of an active hold. A hold that is no longer active stays as it is.
struct ReleaseHold: UseCaseByID {
  typealias Found = Hold
  static let function = "release_holds"

  func changesStock(_ hold: Hold?) -> Bool { hold?.status == .released }
}
