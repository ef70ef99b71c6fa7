/// A value that every way of printing shows as `***`: interpolation, `print`, `debugPrint` and `dump`, also inside
/// another value.
package protocol Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Redacted {
  package var description: String { "***" }
  package var debugDescription: String { "***" }
  /// A mirror without children. `dump`, and printing a value that contains this one, would show them.
  package var customMirror: Mirror { Mirror(self, children: []) }
}
