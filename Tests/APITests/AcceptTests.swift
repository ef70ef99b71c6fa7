import Testing

@testable import API

@Suite struct AcceptTests {
  private static let types = ["application/json", "text/csv", "application/x-ndjson"]

  @Test(
    arguments: [
      (nil, "application/json"), ("", "application/json"), ("*/*", "application/json"), ("text/csv", "text/csv"),
      ("TEXT/CSV", "text/csv"), ("text/*", "text/csv"), ("application/x-ndjson", "application/x-ndjson"),
      ("text/csv; header=present; charset=utf-8", "text/csv"), ("text/csv, application/json;q=0.9", "text/csv"),
      ("application/json;q=0.5, application/x-ndjson;q=0.7", "application/x-ndjson"),
      // A browser that opens the address.
      ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
      // The most specific range counts, whatever its place.
      ("*/*, application/json;q=0", "text/csv"), ("application/*;q=0.1, */*;q=0.5", "text/csv"),
      ("text/csv;q=2, */*", "application/json"), (" text/csv ;q=1.000 , ", "text/csv"),
    ] as [(String?, String)])
  func `the preferred type is found`(value: String?, type: String) {
    #expect(Accept.preferred(of: Self.types, value) == type)
  }

  @Test(arguments: ["text/html", "text/csv;q=0", "image/*", "text", "csv", "text/csvx", "*/*;q=0", "text/csv;q=x"])
  func `a client may accept none of the types`(value: String) {
    #expect(Accept.preferred(of: Self.types, value) == nil)
  }
}
