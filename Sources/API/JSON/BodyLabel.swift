/// What the headers of a request say of its body, and whether it is read.
enum BodyLabel: Sendable {
  /// It is read as JSON.
  case json
  /// A page of another site sends it, as a type that a browser sends to any site without asking: it could take stock in the
  /// name of everybody who opens that page. Any other type makes the browser ask first, and this server does not allow it.
  case ofAnotherSite
  /// It is called something else than JSON.
  case ofAnotherType
  /// It is compressed, or encoded in another way.
  case encoded

  /// - Throws: `Problem.unsupportedMediaType`.
  func check() throws {
    switch self {
    case .json: break
    case .ofAnotherSite:
      throw Problem(
        .unsupportedMediaType,
        "A page of another site sends a body of a type that browsers send without asking. Send Content-Type: "
          + "application/json.")
    case .ofAnotherType:
      throw Problem(.unsupportedMediaType, "Send JSON, with Content-Type: application/json.")
    case .encoded:
      throw Problem(
        .unsupportedMediaType, "Send the body as it is, without Content-Encoding.",
        headers: [("Accept-Encoding", "identity")])
    }
  }
}

extension BodyLabel {
  /// Finds the label among the fields of a request, given one by one.
  struct Reader {
    /// In ascending order: of several fields the worst counts.
    private enum MediaType: Int {
      case json
      /// One that browsers send without asking (https://fetch.spec.whatwg.org/#cors-safelisted-request-header), or none.
      /// `curl -d` says that everything is a form, so it is read as JSON.
      case unasked
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

    /// - Parameter value: of `Sec-Fetch-Site` (https://w3c.github.io/webappsec-fetch-metadata/#sec-fetch-site-header).
    mutating func readSite(_ value: String) {
      let site = value[...].utf8.trimmed
      if !site.isWord("same-origin"), !site.isWord("none") { isOfAnotherSite = true }
    }

    /// - Parameter host: the value of `Host`.
    func label(host: String?) -> BodyLabel {
      if isEncoded { return .encoded }
      switch mediaType ?? .unasked {
      case .json: return .json
      case .another: return .ofAnotherType
      case .unasked:
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
      let isUnasked =
        name.isEmpty || name.isWord("application/x-www-form-urlencoded") || name.isWord("text/plain")
      return isUnasked ? .unasked : .another
    }

    /// Whether a page of this origin (RFC 6454, section 7) has come from the host. Not so `null`.
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
