/// What this program is.
package enum BuildInfo {
  /// The version that CHANGELOG.md describes.
  package static let version = "0.1.0"

  /// Of the compiler that built it.
  package static let swift: String = {
    #if compiler(>=6.4)
      "6.4"
    #elseif compiler(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }()
}
