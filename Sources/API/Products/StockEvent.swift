import Checkout
import NIOCore

/// The events of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).
enum StockEvent {
  /// The event of a product. `JSONObject` writes no line breaks, so the data is one line.
  static func encode(_ product: Product) -> ByteBuffer {
    var json = JSONObject()
    json.add(product)
    var data = json.finished()
    var event = ByteBuffer(string: "event: stock\ndata: ")
    event.writeBuffer(&data)
    event.writeStaticString("\n\n")
    return event
  }

  /// The first event of a stream. It also has the time after which the client reconnects if the stream breaks.
  ///
  /// The time is random, so that the clients of a stopped server do not reconnect all at once.
  static func encodeFirst(_ product: Product) -> ByteBuffer {
    var first = retry()
    first.writeImmutableBuffer(encode(product))
    return first
  }

  /// The first line of each stream. The event follows, or an empty line.
  static func retry() -> ByteBuffer { ByteBuffer(string: "retry: \(Int.random(in: retryMilliseconds))\n") }

  private static let retryMilliseconds = 500...3000
}
