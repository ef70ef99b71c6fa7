import Foundation
import PackagePlugin

/// Runs `EmbedSQL` on the package's `sql` folder when a file in it has changed.
@main
struct EmbedSQLPlugin: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let sql = context.package.directoryURL.appending(path: "sql")
    let files = try ["migrations", "functions"].flatMap { folder in
      try FileManager.default.contentsOfDirectory(
        at: sql.appending(path: folder), includingPropertiesForKeys: nil
      )
      .filter { $0.pathExtension == "sql" }
      .sorted { $0.path < $1.path }
    }
    let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedSQL.swift")
    return [
      .buildCommand(
        displayName: "Embedding \(files.count) SQL files",
        executable: try context.tool(named: "EmbedSQL").url,
        arguments: [output.path] + files.map(\.path),
        inputFiles: files,
        outputFiles: [output])
    ]
  }
}
