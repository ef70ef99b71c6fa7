/// What another session announced with NOTIFY.
package struct Notification: Sendable {
  package let channel: String
  package let payload: String
}
