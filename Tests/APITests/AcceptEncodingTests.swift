import Testing

@testable import API

@Suite struct AcceptEncodingTests {
  @Test(arguments: [
    "gzip", "GZIP", "x-gzip", "br, gzip;q=0.001", "gzip, deflate, br, zstd", "*", "br;q=1.0, *;q=0.5",
    "gzip ; q=0.5", "gzip;Q=1.000", "gzip;q=0.5, identity;q=0.5", "identity;q=0.2,gzip;q=0.3", "*;q=0, gzip",
    "gzip;q=1.",
  ])
  func `gzip is used if the client accepts it and does not prefer the plain form`(value: String) {
    #expect(AcceptEncoding.prefersGzip(value))
  }

  @Test(arguments: [
    nil, "", "identity", "br", "gzip;q=0", "gzip;q=0.000", "*, gzip;q=0", "*;q=0", "gzip;q=0.5, identity",
    "gzip;q=0.2, identity;q=0.3", "gzipped", "gzip;q=2", "gzip;q=1.001", "gzip;q=x", "gzip;q=0.1234", "gzip;q=",
    "gzip;q=-1", "gzip;level=9", "gzip;q=1;q=1", ";", ",",
  ])
  func `gzip is not used if it is refused, less preferred or has an invalid weight`(value: String?) {
    #expect(!AcceptEncoding.prefersGzip(value))
  }
}
