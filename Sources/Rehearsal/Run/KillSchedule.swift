import NIOCore
import Subprocess
import Synchronization

/// Runs the command of `--kill` at regular times while buyers arrive.
final class KillSchedule: Sendable {
  private let command: String
  /// Seconds between two executions.
  private let interval: Double
  private let kills = Mutex<[Kill]>([])

  /// - Parameter interval: seconds, above 0.
  init(command: String, interval: Double) {
    self.command = command
    self.interval = interval
  }

  var done: [Kill] { kills.withLock { $0 } }

  /// Returns at the end of the arrivals, or when the task is cancelled.
  ///
  /// - Parameter seconds: the time in which buyers arrive.
  func run(clock: RunClock, seconds: Double) async {
    var due = interval
    while due < seconds {
      let wait = Microseconds.seconds(due) - clock.now
      guard (try? await Task.sleep(for: .microseconds(max(0, wait)))) != nil else { return }
      let started = clock.now
      let code = await execute()
      kills.withLock { $0.append(Kill(started: started, ended: clock.now, exitCode: code)) }
      due += interval
    }
  }

  private func execute() async -> Int32? {
    // Its output goes to standard error: standard output is for the report.
    let result = try? await Subprocess.run(
      .name("sh"), arguments: ["-c", command], input: .none,
      output: .fileDescriptor(.standardError, closeAfterSpawningProcess: false),
      error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
    guard case .exited(let code)? = result?.terminationStatus else { return nil }
    return code
  }
}
