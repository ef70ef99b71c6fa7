/// What the headers of a request say about its body, and so whether the body is read.
enum BodyLabel: Sendable {
  /// The body is read as JSON.
  case json
  /// A page of another site sends the body. Browsers send this type to any site without a preflight request.
  ///
  /// Such a page could hold stock from the browsers of all its visitors. For any other type the browser sends a
  /// preflight request (CORS), and only the origins of `CrossOriginSharing` pass it. They can send JSON, so this rule
  /// applies to them, too.
  case ofAnotherSite
  /// The type is not JSON.
  case ofAnotherType
  /// The body is compressed, or encoded in another way.
  case encoded

  /// - Throws: `Problem.unsupportedMediaType`.
  func check() throws {
    switch self {
    case .json: break
    case .ofAnotherSite:
      throw Problem(
        .unsupportedMediaType,
        "A page of another site sent a body of a type that browsers send without a preflight request. "
          + "Send Content-Type: application/json.")
    case .ofAnotherType:
      throw Problem(.unsupportedMediaType, "Send JSON, with Content-Type: application/json.")
    case .encoded:
      throw Problem(
        .unsupportedMediaType, "Send the body without Content-Encoding.",
        headers: [("Accept-Encoding", "identity")])
    }
  }
}

extension BodyLabel {
  /// Determines the label from the header fields of a request, which it gets one by one.
  struct Reader {
    /// In ascending order. If there are several fields, the greatest counts.
    private enum MediaType: Int {
      case json
      /// A type that browsers send without a preflight request, or no type. It is read as JSON, because `curl -d`
      /// labels every body as a form (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
      case safelisted
      case another
    }

    private var mediaType: MediaType?
    private var isEncoded = false
    private var isOfAnotherSite = false
    private var origins: [String] = []

    mutating func readContentType(_ value: String) {
      let type = Self.mediaType(value)
      if type.rawValue >= mediaType?.rawValue ?? 0 { mediaType = type }
    }

    mutating func readContentEncoding(_ value: String) {
      let coding = value[...].utf8.trimmed
      if !coding.isEmpty, !coding.isWord("identity") { isEncoded = true }
    }

    mutating func readOrigin(_ value: String) { origins.append(value) }

    /// - Parameter value: the value of `Sec-Fetch-Site`
    ///   (https://w3c.github.io/webappsec-fetch-metadata/#sec-fetch-site-header).
    mutating func readSite(_ value: String) {
      let site = value[...].utf8.trimmed
      if !site.isWord("same-origin"), !site.isWord("none") { isOfAnotherSite = true }
    }

    /// - Parameter host: the value of `Host`.
    func label(host: String?) -> BodyLabel {
      if isEncoded { return .encoded }
      switch mediaType ?? .safelisted {
      case .json: return .json
      case .another: return .ofAnotherType
      case .safelisted:
        let isForeign = isOfAnotherSite || origins.contains { !Self.isOrigin($0, of: host ?? "") }
        return isForeign ? .ofAnotherSite : .json
      }
    }

    private static func mediaType(_ value: String) -> MediaType {
      if value == "application/json" { return .json }
      let name = value[...].utf8.prefix { $0 != UInt8(ascii: ";") }.trimmed
      let suffix: StaticString = "+json"
      if name.isWord("application/json")
        || name.suffix(suffix.utf8CodeUnitCount).isWord(suffix) && name.contains(UInt8(ascii: "/"))
      {
        return .json
      }
      let isSafelisted =
        name.isEmpty || name.isWord("application/x-www-form-urlencoded") || name.isWord("text/plain")
      return isSafelisted ? .safelisted : .another
    }

    /// Whether the host is that of the origin (RFC 6454, section 7). The origin `null` has no host.
    private static func isOrigin(_ origin: String, of host: String) -> Bool {
      let origin = origin[...].utf8.trimmed
      for scheme in ["http://", "https://"] where origin.starts(with: scheme.utf8) {
        let authority = origin.dropFirst(scheme.utf8.count)
        return !authority.isEmpty
          && authority.lazy.map(\.lowercasedASCII).elementsEqual(host[...].utf8.trimmed.lazy.map(\.lowercasedASCII))
      }
      return false
    }
  }
}
