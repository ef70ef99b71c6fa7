import Glibc

/// The standard process metrics (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), and the
/// version of the program.
package enum ProcessMetrics {
  /// Appends all metrics that can be read. Most come from Linux's `/proc`.
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
    "flashsale_build_info", help: "1, with the versions of the program and of the Swift compiler that built it.")
  private static let cpuSeconds = MetricDescription(
    "process_cpu_seconds_total", help: "User and system CPU time, in seconds.")
  private static let residentMemory = MetricDescription(
    "process_resident_memory_bytes", help: "Resident memory, in bytes.")
  private static let openFiles = MetricDescription("process_open_fds", help: "Open file descriptors.")
  private static let maximumFiles = MetricDescription("process_max_fds", help: "Limit of open file descriptors.")
  private static let start = MetricDescription(
    "process_start_time_seconds", help: "Start time of the process, in Unix seconds.")

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
    // Without `.`, `..`, and the descriptor of `opendir`.
    return max(0, count - 3)
  }

  private static func descriptorLimit() -> Double? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
    return limit.rlim_cur == .max ? .infinity : Double(limit.rlim_cur)
  }

  /// The start time of the process, in Unix seconds.
  ///
  /// Field 22 of `/proc/self/stat` (proc(5)) has the clock ticks from the start of the system to that of the process.
  /// It is read once, because the result would change with the time of day.
  private static let startTime: Double? = {
    // Field 2 is the name in parentheses, which may contain spaces. Field 3 follows it.
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
