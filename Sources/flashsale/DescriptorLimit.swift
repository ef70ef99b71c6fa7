import Glibc

/// Lets the process have this many files and connections open, or as many as the system allows. Shells commonly start
/// programs with a limit of 1024, which they may raise by themselves.
///
/// - Returns: how many it may have then.
func raiseDescriptorLimit(to count: Int) -> Int {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return count }
  let allowed = limit.rlim_cur
  limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, rlim_t(count)))
  if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = allowed }
  return Int(clamping: limit.rlim_cur)
}
