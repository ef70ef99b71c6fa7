/// Reads a hold as it stands.
struct ReadHold: UseCaseByID {
  typealias Found = Hold
  static let isRead = true
  static let function = "read_holds"
}
