import Telemetry
import Testing

@Suite struct TraceContextTests {
  private static let trace = "0af7651916cd43dd8448eb211c80319c"
  private static let parent = "b7ad6b7169203331"

  @Test(arguments: [
    ("00-\(trace)-\(parent)-01", true),
    ("00-\(trace)-\(parent)-00", false),
    // Flags that version 00 does not define are ignored.
    ("00-\(trace)-\(parent)-ff", true),
    ("00-\(trace)-\(parent)-02", false),
    // Later versions begin like version 00, and may have more fields after another dash.
    ("cc-\(trace)-\(parent)-01", true),
    ("cc-\(trace)-\(parent)-01-", true),
    ("fe-\(trace)-\(parent)-00-what-the-future-will-be-like", false),
  ])
  func `a valid traceparent is adopted`(_ header: String, _ isSampled: Bool) throws {
    let context = try #require(TraceContext(traceParent: header))
    #expect(context.traceID.description == Self.trace)
    #expect(context.isSampled == isSampled)
    #expect(context.traceParent == "00-\(Self.trace)-\(Self.parent)-\(isSampled ? "01" : "00")")
  }

  @Test(arguments: [
    "", "00", "garbage",
    "ff-\(trace)-\(parent)-01",  // the forbidden version
    "00-00000000000000000000000000000000-\(parent)-01",
    "00-\(trace)-0000000000000000-01",
    "00-\(trace.uppercased())-\(parent)-01", "00-\(trace)-\(parent.uppercased())-01", "0A-\(trace)-\(parent)-01",
    "00-\(trace)-\(parent)-0", "00-\(trace)-\(parent)-1", "00-\(trace)-\(parent)-0g", "00-\(trace)-\(parent)",
    "00-\(trace)-\(parent)-01-", "00-\(trace)-\(parent)-01-more", "00-\(trace)-\(parent)-01 ",
    "cc-\(trace)-\(parent)-01.more", "cc-\(trace)-\(parent)-011", "cc-\(trace)-\(parent)-0",
    "0-\(trace)-\(parent)-01", "000-\(trace)-\(parent)-01", "00_\(trace)-\(parent)-01", "00-\(trace)_\(parent)-01",
    "00-\(trace)-\(parent)_01", "00-\(trace.dropLast())g-\(parent)-01", "00-\(trace.dropLast())-\(parent)-01",
    "00-\(trace)-\(parent)-01, 00-\(trace)-\(parent)-01", "00-\(trace.dropLast(2))é-\(parent)-01",
  ])
  func `an invalid traceparent is ignored`(_ header: String) {
    #expect(TraceContext(traceParent: header) == nil)
  }

  @Test(arguments: ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1", "a=1 , \t b=2,,", "fw529a3039@dt=FfAd", "0a=x y"])
  func `a valid tracestate is passed on unchanged`(_ state: String) {
    #expect(TraceContext(traceParent: "00-\(Self.trace)-\(Self.parent)-01", traceState: state)?.traceState == state)
  }

  @Test(arguments: [
    "", ",", "a", "=1", "a=", "A=1", "a=b=c", "a=1,a=2", "a=é", "a b=1",
    (0..<33).map { "k\($0)=1" }.joined(separator: ","), "a=" + String(repeating: "x", count: 257),
    String(repeating: "a", count: 257) + "=1",
  ])
  func `an invalid tracestate is dropped`(_ state: String) throws {
    let context = try #require(TraceContext(traceParent: "00-\(Self.trace)-\(Self.parent)-01", traceState: state))
    #expect(context.traceState == nil)
  }
}
