/// The bearer token of an `Authorization` field (RFC 6750, section 2.1). Nil if the field has another scheme.
///
/// The name of a scheme is case-insensitive (RFC 9110, section 11.1).
func bearerToken(of authorization: String) -> Substring.UTF8View? {
  let scheme: StaticString = "bearer "
  let bytes = authorization[...].utf8.trimmed
  guard bytes.prefix(scheme.utf8CodeUnitCount).isWord(scheme) else { return nil }
  return bytes.dropFirst(scheme.utf8CodeUnitCount).trimmed
}
