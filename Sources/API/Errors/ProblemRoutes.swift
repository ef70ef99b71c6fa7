import NIOCore

/// Explains each type of problem to a person who follows its address.
struct ProblemRoutes {
  var routes: [Route] {
    [
      Route(.GET, "/problems/{slug}") { request in
        guard let kind = Problem.Kind.allCases.first(where: { $0.rawValue.isVerbatim(request.parameter) }) else {
          throw Problem.notFound("type of problem")
        }
        let text = "\(kind.title) (\(kind.status.code) \(kind.rawValue))\n\n\(kind.explanation)\n"
        return Response(contentType: "text/plain; charset=utf-8", body: ByteBuffer(string: text))
      }
    ]
  }
}

extension Problem.Kind {
  /// What it means and what to do, for a person.
  fileprivate var explanation: String {
    switch self {
    case .customerLimitReached:
      "A customer may have max_per_customer units in active holds and live orders of this product. Nothing was held. "
        + "Units that are given back count again: Retry-After says when the first will be, where that is known."
    case .databaseUnavailable:
      "The server cannot reach its database, or what the request needs is locked there for too long. Nothing was done. "
        + "Repeat the request after the time in Retry-After."
    case .expectationFailed:
      "The request's Expect header asks for something else than 100-continue. Nothing was done. Leave the header out."
    case .headersTooLarge:
      "The address and headers of a request have at most 16 KiB together, and there are at most 256 header fields. Nothing "
        + "was done, and the connection was closed. Send fewer or shorter headers."
    case .holdAlreadyOrdered:
      "The hold has become an order; a hold becomes at most one. The member order_id names it: read or pay that one."
    case .holdExpired:
      "A hold keeps its units until expires_at, which has passed. They are back on sale. Place a new hold."
    case .holdReleased: "The buyer gave the hold back, and its units are back on sale. Place a new hold."
    case .idempotencyKeyReused:
      "Another request came under this key before, and a key stands for one request. Nothing was done. "
        + "Use a new key for another request, or repeat the first one as it was."
    case .insufficientStock:
      "Fewer units are available than were asked for. Nothing was held. Ask for fewer, or try again later: "
        + "units in holds and unpaid orders of others come back when they are given back or their time runs out."
    case .internalError:
      "A fault in this server; the request may or may not have taken effect. "
        + "The server's log has the details under the X-Request-Id of the response: tell the operator."
    case .invalidSignature:
      "The payment event does not prove where it comes from; the member detail says what is wrong. Nothing was done. Sign it "
        + "by the Standard Webhooks scheme, over the raw bytes of the body, with a timestamp that is at most five minutes off."
    case .malformedRequest:
      "The request is not HTTP as it should be, or its body is not one JSON object in UTF-8. Nothing was done. "
        + "The member detail says what is wrong: correct the program that sent it."
    case .methodNotAllowed:
      "There is something under this address, but it does not take this method. Nothing was done. "
        + "The header Allow lists the methods that it takes."
    case .misdirectedRequest:
      "The Host header names another machine than this one, and `flashsale demo` answers for localhost, 127.0.0.1 and [::1] "
        + "alone. Nothing was done. Use one of these names, or `flashsale serve`."
    case .notFound:
      "There is nothing under this address, or the id is none of ours. Check the address, or the id against the answer "
        + "that told it."
    case .outcomeUnknown:
      "The database's answer was lost on the way and could not be had in time, so the request may or may not have taken "
        + "effect. Repeat it under the same Idempotency-Key, or idempotency_key: it has one effect. If a call that creates "
        + "or restocks a product had no such key, read the product first: it may have been done."
    case .overloaded:
      "More requests are waiting than the database can answer in time. Nothing was done. "
        + "Repeat the request after the time in Retry-After."
    case .payloadTooLarge:
      "The body is larger than this server takes. Nothing was done, and the connection was closed. Send a smaller one."
    case .refundNotDue:
      "Only a success whose money has to be given back can be settled: its verdict is refund_due, amount_mismatch or parked. "
        + "Nothing was changed. Check the idempotency key."
    case .requestTimeout:
      "The request did not arrive whole within the time that the server allows. Nothing was done, and the connection was "
        + "closed. Repeat the request, and send all of it at once."
    case .saleEnded:
      "Units could be held until ends_at. Nothing was held. Holds and orders that were made in time go on as usual."
    case .saleNotStarted:
      "Units can be held from starts_at on, by the server's clock. Nothing was held. Retry-After says how long that is."
    case .shuttingDown:
      "The server is being stopped. Nothing was done. Repeat the request; another server will take it."
    case .unauthorized:
      "Admin calls need the server's admin token, and its metrics may need a token of their own. Nothing was done. Send it as "
        + "Authorization: Bearer <token>."
    case .unsupportedMediaType:
      "The body is labelled as something else than JSON, or as encoded, or a page of another site sends it as a form or text. "
        + "Nothing was done. Send JSON, with Content-Type: application/json and without Content-Encoding."
    case .validation:
      "Members of the body are missing or wrong, or a header or parameter is. Nothing was done. The member errors lists "
        + "them, each with a JSON pointer (or / and the name of the header or parameter) and what is expected there."
    }
  }
}
