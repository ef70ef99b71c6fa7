import Testing

@testable import Postgres

@Suite struct QueryResultTests {
  @Test func `a message of several lines becomes one line`() {
    #expect("one\n".trimmingLines() == "one")
    #expect("one\n\ttwo\n  three\r\n".trimmingLines() == "one two three")
    #expect("".trimmingLines() == "")
  }
}
