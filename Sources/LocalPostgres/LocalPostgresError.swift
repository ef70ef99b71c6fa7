import Glibc

/// Why a private server could not be started, or ended too early: one line with what happened and what to do.
package struct LocalPostgresError: Error, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }

  /// A failed system call, described by `errno`; so nothing may come between the call and this.
  init(cannot action: String) {
    self.init("cannot \(action): \(String(cString: strerror(errno)))")
  }
}
