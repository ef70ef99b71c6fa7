import Checkout
import NIOCore

/// The events of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).
enum StockEvent {
  /// The product as it is. JSON has no line breaks here, so it is one line of data.
  static func encode(_ product: Product) -> ByteBuffer {
    var json = JSONObject()
    json.add(product)
    var data = json.finished()
    var event = ByteBuffer(string: "event: stock\ndata: ")
    event.writeBuffer(&data)
    event.writeStaticString("\n\n")
    return event
  }

  /// The first event of a stream, which also tells the reader how long to wait before coming back when the stream
  /// breaks: a random time, so that the readers of a server that ended do not come all at once.
  static func encodeFirst(_ product: Product) -> ByteBuffer {
    var first = ByteBuffer(string: "retry: \(Int.random(in: retryMilliseconds))\n")
    first.writeImmutableBuffer(encode(product))
    return first
  }

  private static let retryMilliseconds = 500...3000
}
