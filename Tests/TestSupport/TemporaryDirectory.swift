import Foundation

/// A path for a new directory that nobody else uses.
package func temporaryDirectory() -> String {
  FileManager.default.temporaryDirectory.appending(path: "flashsale-test-\(UUID().uuidString.prefix(13))").path
}
