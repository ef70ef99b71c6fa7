/// The versions of this program and of its compiler.
package enum BuildInfo {
  /// The program's version, as in CHANGELOG.md.
  package static let version = "0.1.0"

  /// The version of the Swift compiler that built the program.
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
