import Logging
import Synchronization
import Telemetry
import Testing

@Suite struct TerminalTextTests {
  @Test(arguments: [
    ("", ""), ("Grüner Hut 🎩", "Grüner Hut 🎩"), ("👩‍👩‍👧", "👩‍👩‍👧"), ("e\u{301}", "e\u{301}"),
    ("a\nb", #"a\nb"#), ("a\r\n\tb", #"a\r\n\tb"#), ("\u{1b}[2J", #"\u{1B}[2J"#), ("\u{7f}\u{0}", #"\u{7F}\u{0}"#),
    ("\u{9b}2J", #"\u{9B}2J"#), ("\u{202e}x\u{2066}", #"\u{202E}x\u{2066}"#),
    ("\u{2028}\u{2029}", #"\u{2028}\u{2029}"#),
    ("\u{feff}\u{200b}\u{ad}", #"\u{FEFF}\u{200B}\u{AD}"#),
  ])
  func `control, bidirectional and invisible characters are escaped`(text: String, expected: String) {
    #expect(text.escapedForTerminal == expected)
  }

  private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func append(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    var contents: [String] { lines.withLock { $0 } }
  }

  @Test func `a logged value cannot forge a log line`() {
    let lines = Lines()
    var logger = Logger(label: "test") { label in
      StreamLogHandler(
        label: label, stream: LogStream(write: lines.append), metadataProvider: nil)
    }
    logger[metadataKey: "name"] = "a\n2026-11-27 error forged"
    logger.error("b\u{1b}[2J", metadata: ["list": ["c\nd"]])
    let written = lines.contents
    #expect(written.count == 1 && written[0].count { $0 == "\n" } == 1, "\(written)")
    for part in [#"a\n2026"#, #"b\u{1B}[2J"#, #"c"#] { #expect(written[0].contains(part), "\(written)") }
  }
}
