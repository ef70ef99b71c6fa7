import Foundation
import NIOSSL
import Subprocess

/// A certificate authority that only tests know, and certificates of servers. The program `openssl` makes them.
package struct TestCertificates: Sendable {
  /// The authority's own certificate.
  package let authority: NIOSSLCertificate
  private let certificate: NIOSSLCertificate
  private let key: NIOSSLPrivateKey

  /// Makes an authority, and a certificate for a server with this name.
  ///
  /// - Throws: ``Unexpected`` if openssl is missing or fails.
  package init(serverName: String) async throws {
    let directory = temporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let files = (
      authority: directory + "/authority.pem", authorityKey: directory + "/authority.key",
      server: directory + "/server.pem", serverKey: directory + "/server.key"
    )
    let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try await Self.openssl(
      ["req", "-x509", "-days", "1", "-subj", "/CN=authority of a test", "-keyout", files.authorityKey]
        + ["-out", files.authority] + newKey)
    try await Self.openssl(
      ["req", "-x509", "-days", "1", "-subj", "/CN=\(serverName)", "-addext", "subjectAltName=DNS:\(serverName)"]
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", files.authority, "-CAkey", files.authorityKey]
        + ["-keyout", files.serverKey, "-out", files.server] + newKey)
    authority = try NIOSSLCertificate.fromPEMFile(files.authority)[0]
    certificate = try NIOSSLCertificate.fromPEMFile(files.server)[0]
    key = try NIOSSLPrivateKey(file: files.serverKey, format: .pem)
  }

  /// The configuration of a server with that certificate.
  package var server: TLSConfiguration {
    .makeServerConfiguration(certificateChain: [.certificate(certificate)], privateKey: .privateKey(key))
  }

  private static func openssl(_ arguments: [String]) async throws {
    let result = try await run(
      .name("openssl"), arguments: Arguments(arguments), output: .discarded, error: .string(limit: 65_536))
    guard result.terminationStatus.isSuccess else {
      throw Unexpected("openssl \(arguments[0]) failed: \(result.standardError)")
    }
  }
}
