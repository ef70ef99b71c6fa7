/// What a process, of whomever, was started with. Empty when there is none, and as soon as it is ending: before its
/// descriptors, and thus its locks, are closed. One that nobody waits for may stay in that state for ever, as happens
/// in containers; then the number is still taken, but nothing runs.
func commandLine(of process: Int32) -> [Substring] {
  // proc(5): each argument ends with a zero byte, and the memory that they are in is the first thing to go.
  text(ofFile: "/proc/\(process)/cmdline")?.split(separator: "\0") ?? []
}
