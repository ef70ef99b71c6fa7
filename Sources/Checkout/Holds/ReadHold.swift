/// Reads a hold. The outcome is nil for an unknown hold.
struct ReadHold: UseCaseByID {
  typealias Found = Hold
  static let isRead = true
  static let function = "read_holds"
}
