import Testing

@testable import API

@Suite struct PathTemplateTests {
  @Test(arguments: [
    ("/metrics", "/metrics"), ("/api/products/{id}", "/api/products/1"), ("/api/products/{id}", "/api/products/%31"),
    ("/api/products/{id}/events", "/api/products/x/events"), ("/", "/"),
  ])
  func `a path is spelled like its route`(template: String, path: String) {
    #expect(PathTemplate.matches(template, path))
  }

  @Test(arguments: [
    "//metrics", "/metrics/", "/metrics//", "/./metrics", "/%6Detrics", "/METRICS", "metrics", "/metrics/x",
    "/metrics;x",
    "/metrics\u{301}", "/", "",
  ])
  func `no other spelling is the route's`(path: String) {
    #expect(!PathTemplate.matches("/metrics", path))
  }

  @Test func `a parameter is one segment and not empty`() {
    for path in [
      "/api/products/", "/api/products//events", "/api/products/1/", "/api/products/1/2", "/api//products/1",
    ] {
      #expect(!PathTemplate.matches("/api/products/{id}", path), "\(path)")
    }
  }
}
