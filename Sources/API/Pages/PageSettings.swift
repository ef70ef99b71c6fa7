import Telemetry

/// What the pages know of their server.
package struct PageSettings: Sendable {
  /// The absolute URL to which the page of an order sends the buyer. With nil, the page has no such link.
  package let checkoutURL: String?
  /// Whether the pages play the payment provider. They send unsigned payment events.
  package let playsProvider: Bool

  package init(checkoutURL: String?, playsProvider: Bool) {
    self.checkoutURL = checkoutURL
    self.playsProvider = playsProvider
  }

  /// The text of `/assets/settings.js`. A JSON string is also a string of JavaScript.
  var script: String {
    var text = JSONText(capacity: 128)
    text.raw("export const checkoutURL = ")
    if let checkoutURL { text.string(checkoutURL) } else { text.raw("null") }
    text.raw(";\nexport const playsProvider = ")
    text.raw(playsProvider ? "true" : "false")
    text.raw(";\n")
    return String(decoding: text.bytes, as: UTF8.self)
  }
}
