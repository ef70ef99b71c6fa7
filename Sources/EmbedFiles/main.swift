import APIReference
import Foundation

// Usage: EmbedFiles OUTPUT ENUM [--gzip] (--list NAME FILE...)...
// Writes a Swift file with an enum. For each --list the enum has a list with the names and texts of the files. With --gzip
// the list also has the texts in gzip form, encoded in Base64. In the place of an OpenAPI document, a file of the type
// yaml, the list has docs.html, the page that explains it. The page is also written beside OUTPUT.

func fail(_ reason: String, status: Int32) -> Never {
  FileHandle.standardError.write(Data("error: EmbedFiles: \(reason)\n".utf8))
  exit(status)
}

/// The file in gzip form, without its name and time. So each build of the same file gives the same bytes.
///
/// Foundation has no gzip, and zlib would need one more package on each machine that builds.
func compressed(_ path: String) throws -> Data {
  let program = "/usr/bin/gzip"
  guard FileManager.default.isExecutableFile(atPath: program) else {
    fail("\(program) is missing; install the package gzip", status: 1)
  }
  let (process, output) = (Process(), Pipe())
  process.executableURL = URL(filePath: program)
  process.arguments = ["-9nc", path]
  process.standardOutput = output
  try process.run()
  let bytes = try output.fileHandleForReading.readToEnd()
  process.waitUntilExit()
  guard process.terminationStatus == 0, let bytes else { fail("gzip cannot read \(path)", status: 1) }
  return bytes
}

/// Writes the page of an OpenAPI document beside the output. Returns its path.
func writeReference(of document: URL, beside output: String) throws -> URL {
  let page = URL(filePath: output).deletingLastPathComponent().appending(path: "docs.html")
  let yaml = try String(contentsOf: document, encoding: .utf8)
  let text: String
  do {
    text = try ReferencePage(OpenAPIDocument(yaml: yaml)).html()
  } catch {
    fail("\(document.path): \(error)", status: 1)
  }
  try text.write(to: page, atomically: true, encoding: .utf8)
  return page
}

var arguments = CommandLine.arguments.dropFirst()
guard let output = arguments.popFirst(), let name = arguments.popFirst() else {
  fail("usage: EmbedFiles OUTPUT ENUM [--gzip] (--list NAME FILE...)...", status: 64)
}
let hasGzip = arguments.first == "--gzip"
if hasGzip { arguments.removeFirst() }

var source = "/// Files of this package, in the order of their names.\nenum \(name) {\n"
while arguments.popFirst() == "--list", let list = arguments.popFirst() {
  let paths = arguments.prefix { $0 != "--list" }
  arguments.removeFirst(paths.count)
  source += "  static let \(list): [(name: String, text: String\(hasGzip ? ", gzip: String" : ""))] = [\n"
  for path in paths {
    var file = URL(filePath: path)
    if file.pathExtension == "yaml" { file = try writeReference(of: file, beside: output) }
    let text = try String(contentsOf: file, encoding: .utf8)
    source += "    (\"\(file.lastPathComponent)\", ###\"\"\"\n\(text)\n\"\"\"###"
    if hasGzip {
      let gzip = try compressed(file.path)
      source += ", \"\(gzip.base64EncodedString())\""
    }
    source += "),\n"
  }
  source += "  ]\n"
}
source += "}\n"
try source.write(toFile: output, atomically: true, encoding: .utf8)
