import Foundation

// Usage: EmbedSQL OUTPUT FILE...
// Writes a Swift file with the names and texts of the SQL files, grouped by folder.
var arguments = CommandLine.arguments.dropFirst()
guard let output = arguments.popFirst() else {
  FileHandle.standardError.write(Data("usage: EmbedSQL OUTPUT FILE...\n".utf8))
  exit(64)
}

var source = "/// The SQL files of this package, in the order of their names.\nenum EmbeddedSQL {\n"
for folder in ["migrations", "functions"] {
  source += "  static let \(folder): [(name: String, text: String)] = [\n"
  for path in arguments {
    let url = URL(filePath: path)
    guard url.deletingLastPathComponent().lastPathComponent == folder else { continue }
    let name = url.deletingPathExtension().lastPathComponent
    let text = try String(contentsOf: url, encoding: .utf8)
    source += "    (\"\(name)\", ###\"\"\"\n\(text)\n\"\"\"###),\n"
  }
  source += "  ]\n"
}
source += "}\n"
try source.write(toFile: output, atomically: true, encoding: .utf8)
