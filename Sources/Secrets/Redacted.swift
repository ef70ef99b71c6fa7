/// Something that is printed as `***`: by interpolation, `print`, `debugPrint`, `dump`, and inside whatever contains it.
public protocol Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Redacted {
  public var description: String { "***" }
  public var debugDescription: String { "***" }
  /// Without children, which `dump` and the printing of what contains it would show.
  public var customMirror: Mirror { Mirror(self, children: []) }
}
