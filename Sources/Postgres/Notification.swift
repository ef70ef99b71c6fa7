/// What another session announced with NOTIFY.
public struct Notification: Sendable {
  public let channel: String
  public let payload: String
}
