import Glibc

/// Whether there is such a process, of whomever. One that has ended, but was not waited for, does not count: in a
/// container whose first process waits for nobody it stays for ever.
///
/// - Parameter name: counts only a process of that name.
func isRunning(process: pid_t, name: String? = nil) -> Bool {
  // proc(5): number, name in parentheses, state. The name may hold anything.
  guard let status = text(ofFile: "/proc/\(process)/stat"), let start = status.firstIndex(of: "("),
    let end = status.lastIndex(of: ")")
  else { return false }
  let hasEnded = ["Z", "X"].contains(status[end...].dropFirst(2).first)
  return !hasEnded && (name.map { status[start..<end].dropFirst() == $0 } ?? true)
}
