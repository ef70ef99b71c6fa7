import NIOCore

/// The content of a request's body: a JSON object whose members have the names of `Member`.
protocol RequestBody {
  associatedtype Member: RawRepresentable<String> & CaseIterable
  /// - Throws: `Problem.validation` with all errors of the members.
  init(from members: inout MemberReader<Member>) throws
}

extension RequestBody {
  /// - Throws: `Problem.malformedRequest`, `Problem.validation`.
  init(from bytes: ByteBuffer) throws {
    do {
      var members = try MemberReader<Member>(bytes)
      self = try Self(from: &members)
    } catch let violation as JSONSyntax.Violation {
      throw Problem.malformedRequest(violation)
    }
  }
}

extension Problem {
  static func malformedRequest(_ violation: JSONSyntax.Violation) -> Problem {
    malformedRequest("\(violation.reason), at byte \(violation.offset)")
  }
}
