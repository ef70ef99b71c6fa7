import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1
import NIOSSL

/// Why a delivery had no response, in words for the operator.
///
/// The words contain nothing of the URL or of the response: both may have secrets in them, and a response of a private
/// service must not be shown.
struct DeliveryFailure: Error, Equatable {
  /// The word in metrics and logs.
  enum Reason: String, CaseIterable {
    case refusedAddress = "refused_address"
    case unreachable
    case timedOut = "timed_out"
    case tls
    case invalidResponse = "invalid_response"
    case other
  }

  let reason: Reason
  /// At most 200 characters.
  let words: String

  private init(_ reason: Reason, _ words: String) {
    self.reason = reason
    self.words = String(words.prefix(200))
  }

  static let timedOut = DeliveryFailure(.timedOut, "timed out")
  static let invalidSecret = DeliveryFailure(.other, "the secret is not valid")

  init(_ error: any Error) {
    switch error {
    case let refusal as EndpointRefusal: self.init(.refusedAddress, refusal.description)
    case let error as HTTPClientError: self.init(error)
    case let error as IOError: self.init(error)
    case let error as NIOSSLError: self.init(error)
    case let error as NIOSSLExtraError:
      let isName = [.failedToValidateHostname, .serverHostnameImpossibleToMatch].contains(error)
      self.init(.tls, isName ? "certificate is for another name" : "TLS failed")
    case is HTTPParserError: self.init(.invalidResponse, "response is not valid HTTP")
    case ChannelError.connectTimeout: self = .timedOut
    case is ChannelError: self = .closed
    default: self.init(.other, "failed: \(type(of: error))")
    }
  }

  private static let closed = DeliveryFailure(.unreachable, "connection was closed without a response")

  private init(_ error: HTTPClientError) {
    switch error {
    case .connectTimeout, .deadlineExceeded, .readTimeout, .writeTimeout, .tlsHandshakeTimeout,
      .getConnectionFromPoolTimeout, .cancelled:
      self = .timedOut
    case .remoteConnectionClosed, .uncleanShutdown: self = .closed
    default: self.init(.other, "failed: \(error.shortDescription)")
    }
  }

  private init(_ error: IOError) {
    switch error.errnoCode {
    case ECONNREFUSED: self.init(.unreachable, "connection refused")
    case ECONNRESET, EPIPE, ECONNABORTED, ENOTCONN: self = .closed
    case ETIMEDOUT: self = .timedOut
    case ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL: self.init(.unreachable, "address cannot be reached")
    default: self.init(.unreachable, "failed: \(String(cString: strerror(error.errnoCode)))")
    }
  }

  private init(_ error: NIOSSLError) {
    switch error {
    case .uncleanShutdown: self = .closed
    case .handshakeFailed(let cause):
      // BoringSSL tells the cause only in text.
      let isCertificate = "\(cause)".contains("CERTIFICATE_VERIFY_FAILED")
      self.init(.tls, isCertificate ? "certificate is not valid" : "TLS failed")
    case .noCertificateToValidate, .unableToValidateCertificate: self.init(.tls, "certificate is not valid")
    default: self.init(.tls, "TLS failed")
    }
  }
}
