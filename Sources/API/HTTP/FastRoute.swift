import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1

/// A route that a crowd comes to: it is answered where its requests are read, see `FastPath`.
///
/// Its handler gets all of a request at once and gives its answer by a callback, so that a request takes neither a task
/// nor a switch of threads of its own. The router has the route too, for requests that are put in an unusual way.
final class FastRoute: Sendable {
  struct Request: Sendable {
    let headers: HTTPHeaders
    /// What stands in the address for `{id}`; empty where the path has none.
    let parameter: Substring
    let body: ByteBuffer
    let bodyLabel: BodyLabel

    subscript(name: HTTPField.Name) -> String? { headers[name] }
  }

  /// Called once, on any thread, with how the answer is made. On the fast path that is done on the connection's event loop:
  /// the thread that has the outcomes of a batch has the next one to begin.
  typealias Reply = @Sendable (_ answer: @escaping @Sendable () throws -> Answer) -> Void

  let method: HTTPRequest.Method
  /// Such as `/api/products/{id}`, with a parameter at its end or none.
  let path: String
  /// - Throws: instead of the call of the reply.
  let handle: @Sendable (Request, @escaping Reply) throws -> Void

  /// The path up to its parameter.
  private let prefix: String
  private let http1Method: HTTPMethod

  init(
    _ method: HTTPRequest.Method, _ path: String,
    handle: @escaping @Sendable (Request, @escaping Reply) throws -> Void
  ) {
    self.method = method
    self.path = path
    self.handle = handle
    prefix = path.hasSuffix(Self.parameter) ? String(path.dropLast(Self.parameter.count)) : path
    http1Method = HTTPMethod(method)
  }

  private static let parameter = "{id}"

  /// The parameter, if the address is put the usual way: nothing escaped, and nothing behind the path.
  func parameter(in head: HTTPRequestHead) -> Substring? {
    guard head.uri.utf8.starts(with: prefix.utf8), head.method == http1Method else { return nil }
    let rest = Substring(head.uri.utf8.dropFirst(prefix.utf8.count))
    guard prefix.utf8.count < path.utf8.count else { return rest.isEmpty ? rest : nil }
    return !rest.isEmpty && rest.utf8.allSatisfy(Self.isPlain) ? rest : nil
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Adds the route for requests that do not take the fast path.
  func add(to router: Router<AppContext>) {
    router.on(RouterPath(path), method: method) { [handle] request, context in
      let whole = Request(
        headers: HTTPHeaders(request.headers), parameter: context.id?[...] ?? "",
        body: try await RequestBodies.bytes(of: request), bodyLabel: BodyLabel(of: request))
      return try await withCheckedThrowingContinuation { continuation in
        do {
          try handle(whole) { answer in continuation.resume(with: Result(catching: answer)) }
        } catch {
          continuation.resume(throwing: error)
        }
      }.response
    }
  }
}
