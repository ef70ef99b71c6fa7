import Checkout
import Time

/// The largest settings of an endpoint.
private enum EndpointLimits {
  /// In characters.
  static let url = 2048
  /// In characters.
  static let description = 255
  /// The names in a list of types. There are fewer types than that.
  static let events = 20
}

/// The body of `POST /api/admin/webhook-endpoints`.
struct EndpointBody: RequestBody {
  let url: String
  private let events: [EventPattern]
  private let description: String?

  enum Member: String, CaseIterable {
    case url, events, description
  }

  init(from members: inout MemberReader<Member>) throws {
    let url = members.string(.url, maximumLength: EndpointLimits.url)
    let events = members.eventPatterns(.events)
    description = members.ifPresent(.description) {
      $0.string($1, maximumLength: EndpointLimits.description)
    }
    if events?.isEmpty == true { members.refuse(.events, MemberReader<Member>.needsEvents) }
    (self.url, self.events) = try members.require(url, events)
  }

  var creation: CreateEndpoint { CreateEndpoint(url: url, events: events, description: description) }
}

/// A merge patch (RFC 7396) of an endpoint.
struct EndpointChangesBody: RequestBody {
  let url: String?
  private let events: [EventPattern]?
  private let description: UpdateProduct.Change<String>
  private let status: WebhookEndpoint.Status?

  enum Member: String, CaseIterable {
    case url, events, description, status
  }

  init(from members: inout MemberReader<Member>) throws {
    // Every endpoint has these three, so null is invalid.
    url = members.contains(.url) ? members.string(.url, maximumLength: EndpointLimits.url) : nil
    events = members.contains(.events) ? members.eventPatterns(.events) : nil
    if events?.isEmpty == true { members.refuse(.events, MemberReader<Member>.needsEvents) }
    status = members.contains(.status) ? members.word(.status) : nil
    description = members.change(.description) {
      $0.string($1, maximumLength: EndpointLimits.description)
    }
    try members.requireValid()
  }

  func changes(of id: EndpointID) -> UpdateEndpoint {
    var changes = UpdateEndpoint(id: id)
    changes.url = url
    changes.events = events
    // The empty text removes it.
    if case .set(let text) = description { changes.endpointDescription = text ?? "" }
    changes.status = status
    return changes
  }
}

/// The body of `PUT /api/admin/event-feed`.
struct EventFeedBody: RequestBody {
  /// Empty to turn the feed off.
  let events: [EventPattern]

  enum Member: String, CaseIterable {
    case events
  }

  init(from members: inout MemberReader<Member>) throws {
    events = try members.require(members.eventPatterns(.events))
  }
}

/// The body of `POST /api/admin/webhook-endpoints/{id}/recover`.
struct RecoverBody: RequestBody {
  let since: Timestamp

  enum Member: String, CaseIterable {
    case since
  }

  init(from members: inout MemberReader<Member>) throws {
    since = try members.require(members.timestamp(.since))
  }
}

extension MemberReader {
  fileprivate static var needsEvents: String { "must name at least one type" }

  /// Types of events, such as `order.paid`, `order.*` or `*`. The list may be empty.
  fileprivate mutating func eventPatterns(_ name: Name) -> [EventPattern]? {
    guard let texts = array(name) else { return nil }
    let patterns = texts.compactMap { EventPattern(text: $0) }
    guard patterns.count == texts.count, texts.count <= EndpointLimits.events else {
      refuse(name, "must be at most \(EndpointLimits.events) types of events such as order.paid, or order.* or *")
      return nil
    }
    return patterns
  }
}
