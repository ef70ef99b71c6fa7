import Foundation

/// A unique path for a new directory. The directory does not exist yet.
package func temporaryDirectory() -> String {
  FileManager.default.temporaryDirectory.appending(path: "flashsale-test-\(UUID().uuidString.prefix(13))").path
}
