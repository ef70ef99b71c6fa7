import EventWebhooks

/// The settings about events; see docs/events.md.
extension Settings {
  /// Where events may be sent. The demo runs on the operator's machine, and so may its receivers.
  func endpointPolicy(isDemo: Bool = false) throws -> EndpointPolicy {
    EndpointPolicy(allowsPrivate: try boolean("EVENT_WEBHOOKS_ALLOW_PRIVATE", default: isDemo))
  }

  /// Whether this server sends events. Without it, other servers on the same database send them.
  func deliversEvents() throws -> Bool { try boolean("EVENT_WEBHOOKS", default: true) }

  /// The most events that this server sends in a second.
  func eventsPerSecond() throws -> Int {
    try integer("EVENT_WEBHOOKS_PER_SECOND", in: 20...100_000, default: EventDeliverer.Configuration.defaultPerSecond)
  }
}
