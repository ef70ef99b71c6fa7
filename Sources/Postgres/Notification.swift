/// A message that a session sent with NOTIFY.
package struct Notification: Sendable {
  package let channel: String
  package let payload: String
}
