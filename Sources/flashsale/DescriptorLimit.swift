import Glibc

/// Raises the limit of open descriptors to `count`, or to the hard limit if that is lower.
///
/// Shells commonly start programs with a soft limit of 1024. A program may raise it itself.
///
/// - Returns: the new limit.
func raiseDescriptorLimit(to count: Int) -> Int {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return count }
  let allowed = limit.rlim_cur
  limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, rlim_t(count)))
  if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = allowed }
  return Int(clamping: limit.rlim_cur)
}
