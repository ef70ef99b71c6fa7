import Subprocess
import Synchronization

/// A program that runs until it ends by itself or is sent a signal. It never outlives the test process.
final class ChildProcess: Sendable {
  /// Becomes the program, after leaving behind a guard that kills it when its standard input ends, as it does when the
  /// test process ends, however it ends. The program is killed only while it still is the guard's parent: later its
  /// number may be another's.
  private static let script = """
    exec 3<&0
    { read -r _; read -r _ _ _ parent _ </proc/self/stat; [ "$parent" = "$$" ] && kill -KILL "$$"; } \
      <&3 >/dev/null 2>&1 &
    exec "$0" "$@" </dev/null 3<&-
    """

  private let lines: AsyncStream<String>
  private let signals: AsyncStream<Signal>.Continuation
  private let log: Log
  private let end: Task<TerminationStatus, any Error>

  /// Everything that was printed, for the message of a test that fails.
  private final class Log: Sendable {
    private let text = Mutex("")
    func append(_ line: String) { text.withLock { $0 += line + "\n" } }
    var contents: String { text.withLock { $0 } }
  }

  /// - Parameter program: its absolute path.
  init(
    _ arguments: [String], settings: [String: String], directory: String? = nil,
    program: String = FlashSaleExecutable.path
  ) {
    let log = Log()
    self.log = log
    let (lines, linesSink) = AsyncStream.makeStream(of: String.self)
    let (signals, signalsSink) = AsyncStream.makeStream(of: Signal.self)
    (self.lines, self.signals) = (lines, signalsSink)
    end = Task {
      let result = try await run(
        .name("sh"), arguments: Arguments(["-c", Self.script, program] + arguments),
        environment: FlashSaleExecutable.environment(settings), workingDirectory: directory.map { .init($0) },
        input: .inputWriter, output: .sequence, error: .sequence
      ) { execution in
        await withDiscardingTaskGroup { group in
          group.addTask {
            for await signal in signals { try? execution.send(signal: signal) }
          }
          group.addTask {
            do { for try await line in execution.standardError.strings() { log.append(line) } } catch {}
          }
          group.addTask {
            do {
              for try await line in execution.standardOutput.strings() {
                log.append(line)
                linesSink.yield(line)
              }
            } catch {}
            linesSink.finish()
            signalsSink.finish()
          }
        }
      }
      return result.terminationStatus
    }
  }

  deinit { signals.yield(.kill) }

  /// Everything it has printed so far.
  var output: String { log.contents }

  /// The next line of its standard output that starts so.
  ///
  /// - Throws: `UnexpectedEnd` when it ends without one.
  func line(startingWith prefix: String) async throws -> String {
    for await line in lines where line.hasPrefix(prefix) { return line }
    // Whoever is cancelled because another could not start has yet to end this one.
    try Task.checkCancellation()
    throw UnexpectedEnd(status: try await status, output: output)
  }

  func send(_ signal: Signal) {
    signals.yield(signal)
  }

  /// How it ended, once it has.
  var status: TerminationStatus {
    get async throws { try await end.value }
  }

  struct UnexpectedEnd: Error, CustomStringConvertible {
    let status: TerminationStatus
    let output: String
    var description: String { "the process ended: \(status)\n\(output)" }
  }
}
