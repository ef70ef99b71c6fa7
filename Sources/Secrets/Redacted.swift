/// Something that is printed as `***`: by interpolation, `print`, `debugPrint`, `dump`, and inside whatever contains it.
package protocol Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Redacted {
  package var description: String { "***" }
  package var debugDescription: String { "***" }
  /// Without children, which `dump` and the printing of what contains it would show.
  package var customMirror: Mirror { Mirror(self, children: []) }
}
