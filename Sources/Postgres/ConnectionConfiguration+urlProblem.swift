import CLibPQ

extension ConnectionConfiguration {
  /// Why `url` cannot be used, in one line that quotes nothing of it. Nil when it can be used.
  ///
  /// A password may have an `@` or `/` that is not percent-encoded. libpq then takes its rest for a host, port or
  /// database, and its error would show that part of the password. So such URLs are refused.
  package var urlProblem: String? {
    var message: UnsafeMutablePointer<CChar>?
    let options = PQconninfoParse(url.revealed(), &message)
    defer {
      PQconninfoFree(options)
      PQfreemem(message)
    }
    guard options != nil else {
      return message.map { Self.withoutQuotation(String(cString: $0).trimmingLines()) } ?? "out of memory"
    }
    let encoding = "in user, password and database, write @ as %40, / as %2F and % as %25"
    if let host = value(of: "host"), host.split(separator: ",").contains(where: { $0.dropFirst().contains("@") }) {
      return "its host contains an @; \(encoding)"
    }
    if let ports = value(of: "port"), !ports.split(separator: ",").allSatisfy({ UInt16($0) != nil }) {
      return "its port is not a number; \(encoding)"
    }
    if Self.path(of: url.revealed())?.contains("@") == true { return "its database contains an @; \(encoding)" }
    return nil
  }

  /// Replaces the part of the URL that libpq quotes. It may be a part of the password.
  private static func withoutQuotation(_ message: String) -> String {
    guard let start = message.firstIndex(of: "\""), let end = message.lastIndex(of: "\"") else { return message }
    return message[..<start] + "***" + message[message.index(after: end)...]
  }

  /// The path of a URI (RFC 3986, section 3.3). Nil when `url` is no URI.
  private static func path(of url: String) -> Substring? {
    for scheme in ["postgresql://", "postgres://"] where url.hasPrefix(scheme) {
      return url.dropFirst(scheme.count).drop { $0 != "/" }.prefix { $0 != "?" }
    }
    return nil
  }
}
