import Postgres

/// Changes an endpoint. Returns it, or no row for an unknown endpoint. Enabling it forgets its failures, and sends what is
/// pending.
package struct UpdateEndpoint: PreparedStatement {
  package static let name = "update_endpoint"
  package static let sql = """
    select * from flashsale.update_endpoint(
      $1::uuid, $2::text, $3::text[], $4::text, $5::text, $6::text, $7::text)
    """

  let id: EndpointID
  /// 1 to 2048 characters. Nil leaves it unchanged, as for the others.
  package var url: String?
  /// At least one.
  package var events: [EventPattern]?
  /// At most 255 characters. The empty text removes it.
  package var endpointDescription: String?
  package var status: WebhookEndpoint.Status?
  /// For the log of changes.
  var author = ChangeAuthor.commandLine

  package init(id: EndpointID) {
    self.id = id
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(id.uuid)
    parameters.append(url)
    parameters.append(events?.map(\.text))
    parameters.append(endpointDescription)
    parameters.append(status?.rawValue)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> WebhookEndpoint { try WebhookEndpoint(&row) }
}
