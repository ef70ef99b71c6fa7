import Foundation
import PackagePlugin

/// Runs `EmbedFiles` when a file that a target embeds has changed.
@main
struct EmbedFilesPlugin: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    switch target.name {
    case "Checkout":
      return [
        try command(
          context, enumName: "EmbeddedSQL", types: ["sql"],
          folders: [("migrations", "sql/migrations"), ("functions", "sql/functions")])
      ]
    case "API":
      return [
        try command(
          context, enumName: "EmbeddedPages", options: ["--gzip"], types: ["css", "html", "js", "svg", "yaml"],
          folders: [
            ("pages", "Sources/Pages"), ("reference", "Sources/API/OpenAPI"), ("assets", "Sources/Pages/assets"),
          ])
      ]
    default:
      Diagnostics.error("EmbedFilesPlugin does not know which files \(target.name) embeds")
      return []
    }
  }

  /// - Parameters:
  ///   - types: the extensions of the files.
  ///   - folders: the name of each list, and the folder of its files.
  private func command(
    _ context: PluginContext, enumName: String, options: [String] = [], types: [String],
    folders: [(list: String, path: String)]
  ) throws -> Command {
    let output = context.pluginWorkDirectoryURL.appending(path: "\(enumName).swift")
    var arguments = [output.path, enumName] + options
    var inputs: [URL] = []
    for (list, path) in folders {
      let files = try FileManager.default.contentsOfDirectory(
        at: context.package.directoryURL.appending(path: path), includingPropertiesForKeys: nil
      )
      .filter { types.contains($0.pathExtension) }
      .sorted { $0.path < $1.path }
      arguments += ["--list", list] + files.map(\.path)
      inputs += files
    }
    return .buildCommand(
      displayName: "Embedding \(inputs.count) files in \(enumName)",
      executable: try context.tool(named: "EmbedFiles").url,
      arguments: arguments, inputFiles: inputs, outputFiles: [output])
  }
}
