/// A value of a JSON object that is a string or an integer.
package enum JSONScalar {
  case text(String)
  case integer(Int)

  /// The members whose value is a string or an integer, in their order. Others are left out.
  ///
  /// - Returns: nil unless the text is one JSON object.
  package static func members(of json: [UInt8]) -> [(name: String, value: JSONScalar)]? {
    json.withUnsafeBytes { bytes in
      let members = try? JSONSyntax.members(of: bytes)
      return members?.compactMap { member in
        let value = bytes[member.value]
        if value.first == UInt8(ascii: "\"") { return (member.name, .text(JSONSyntax.text(ofString: value))) }
        return Int(String(decoding: value, as: UTF8.self)).map { (member.name, .integer($0)) }
      }
    }
  }
}
