import Subprocess
import Synchronization

/// A program that runs until it ends by itself or is sent a signal. It never outlives the test process.
final class ChildProcess: Sendable {
  /// Starts a guard, and then becomes the program. When the test process ends, the guard's standard input ends. The
  /// guard then kills the program if that is still its parent. Otherwise the process id may belong to another process.
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

  /// All printed lines, for the message of a test that fails.
  private final class Log: Sendable {
    private let text = Mutex("")
    func append(_ line: String) { text.withLock { $0 += line + "\n" } }
    var contents: String { text.withLock { $0 } }
  }

  /// - Parameter program: the absolute path of the program.
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
            // Sending fails if the program has already ended.
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

  /// All lines that the program has printed so far.
  var output: String { log.contents }

  /// The next line of standard output with this prefix.
  ///
  /// - Throws: `UnexpectedEnd` when the program ends without such a line.
  func line(startingWith prefix: String) async throws -> String {
    for await line in lines where line.hasPrefix(prefix) { return line }
    // A cancelled task must not wait for the end here, because its caller has not ended the process yet.
    try Task.checkCancellation()
    throw UnexpectedEnd(status: try await status, output: output)
  }

  func send(_ signal: Signal) {
    signals.yield(signal)
  }

  /// How the program ended. Waits for its end.
  var status: TerminationStatus {
    get async throws { try await end.value }
  }

  struct UnexpectedEnd: Error, CustomStringConvertible {
    let status: TerminationStatus
    let output: String
    var description: String { "the process ended: \(status)\n\(output)" }
  }
}
