/// Problems of endpoints and of the feed of events.
extension Problem {
  static let noEndpoint = notFound("webhook endpoint")
  static let tooManyEndpoints = Problem(
    .tooManyEndpoints, "The shop has as many webhook endpoints as it can have. Delete one that nobody needs.")
  static let eventFeedOff = Problem(
    .eventFeedOff, "The feed records nothing. Turn it on with PUT /api/admin/event-feed.")
}
