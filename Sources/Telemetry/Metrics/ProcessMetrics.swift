import Glibc

/// What the system knows of this process, under the names that Prometheus has for it
/// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), and what it was built from.
package enum ProcessMetrics {
  /// Appends what can be read; other systems than Linux have no `/proc`.
  package static func write(into text: inout PrometheusText) {
    let build = [("version", BuildInfo.version), ("swift", BuildInfo.swift)]
    add(buildInfo, .gauge, labels: PrometheusText.labels(build), 1, to: &text)
    add(cpuSeconds, .counter, cpuTime(), to: &text)
    if let pages = fields(of: "/proc/self/statm")?.dropFirst().first.flatMap({ Double($0) }) {
      add(residentMemory, .gauge, pages * Double(sysconf(Int32(_SC_PAGESIZE))), to: &text)
    }
    if let count = openDescriptors() { add(openFiles, .gauge, Double(count), to: &text) }
    if let limit = descriptorLimit() { add(maximumFiles, .gauge, limit, to: &text) }
    if let startTime { add(start, .gauge, startTime, to: &text) }
  }

  package static let descriptions = [buildInfo, cpuSeconds, residentMemory, openFiles, maximumFiles, start]

  private static let buildInfo = MetricDescription(
    "flashsale_build_info", help: "1, with the version of the program and of the Swift that built it.")
  private static let cpuSeconds = MetricDescription(
    "process_cpu_seconds_total", help: "Time on the processor, of the user and the system, in seconds.")
  private static let residentMemory = MetricDescription(
    "process_resident_memory_bytes", help: "Memory that is resident, in bytes.")
  private static let openFiles = MetricDescription("process_open_fds", help: "Open file descriptors.")
  private static let maximumFiles = MetricDescription("process_max_fds", help: "File descriptors at most.")
  private static let start = MetricDescription(
    "process_start_time_seconds", help: "When the process was started, in seconds since 1970.")

  private static func add(
    _ metric: MetricDescription, _ kind: MetricKind, labels: String = "", _ value: Double, to text: inout PrometheusText
  ) {
    text.begin(metric.name, kind: kind, help: metric.help)
    text.add(metric.name, labels: labels, value)
  }

  private static func cpuTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return seconds(time)
  }

  private static func seconds(_ time: timespec) -> Double {
    Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func openDescriptors() -> Int? {
    guard let directory = opendir("/proc/self/fd") else { return nil }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    // Without the entries for itself and its parent, and the descriptor that reads them.
    return max(0, count - 3)
  }

  private static func descriptorLimit() -> Double? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
    return limit.rlim_cur == .max ? .infinity : Double(limit.rlim_cur)
  }

  /// Field 22 of `/proc/self/stat` (proc(5)): clock ticks from the system's start to the process's. Read once: the
  /// difference of the two clocks moves when the time of day is set.
  private static let startTime: Double? = {
    // The name, in parentheses, may contain spaces; behind it comes field 3.
    guard let behindName = text(of: "/proc/self/stat")?.split(separator: ")").last?.split(separator: " "),
      behindName.count > 19, let ticks = Double(behindName[19])
    else { return nil }
    var (now, uptime) = (timespec(), timespec())
    clock_gettime(CLOCK_REALTIME, &now)
    clock_gettime(CLOCK_BOOTTIME, &uptime)
    return seconds(now) - seconds(uptime) + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }()

  private static func fields(of path: String) -> [Substring]? {
    text(of: path)?.split(separator: " ")
  }

  private static func text(of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}
