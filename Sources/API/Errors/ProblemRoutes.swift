import NIOCore

/// `GET /problems/{slug}`: explains a type of problem to a person.
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
  /// What the problem means and what the client can do.
  fileprivate var explanation: String {
    switch self {
    case .customerLimitReached:
      "A customer may have at most max_per_customer units of this product in active holds and live orders. "
        + "Nothing was held. Units that are returned to the stock no longer count. If a time is known, Retry-After "
        + "says when the first are returned."
    case .customerTokenRequired:
      "The server has keys for customer tokens, so only a token can name the customer. A product with "
        + "max_per_customer needs a customer. Nothing was done. Get a token from the shop, and send it as "
        + "Authorization: Bearer <token>."
    case .databaseUnavailable:
      "The server cannot reach its database, or another transaction locks the rows for too long. Nothing was "
        + "done. Repeat the request after the time in Retry-After."
    case .eventFeedOff:
      "The feed records no type of event, so an empty page would look as if nothing happened. Turn the feed on with "
        + "PUT /api/admin/event-feed. Events that happened before are in it only if a webhook endpoint wanted their "
        + "type."
    case .expectationFailed:
      "The Expect header of the request has a value other than 100-continue. Nothing was done. Leave the header "
        + "out."
    case .forbiddenOrigin:
      "A request with the session cookie came from a page of another site, or it does not show where it came from. "
        + "Nothing was done. A change needs Content-Type: application/json and an Origin that is the server's own. "
        + "Behind a proxy with TLS the server needs TRUSTED_PROXIES, and X-Forwarded-Proto from the proxy."
    case .headersTooLarge:
      "The address and headers of a request may have at most 16 KiB together, in at most 256 header fields. "
        + "Nothing was done, and the connection was closed. Send fewer or shorter headers."
    case .holdAlreadyOrdered:
      "The hold has become an order. A hold becomes at most one order. The member order_id is that order: read it "
        + "or pay it."
    case .holdExpired:
      "A hold keeps its units until expires_at. That time has passed, and other buyers can hold the units. Place "
        + "a new hold."
    case .holdReleased: "The buyer released the hold, and its units were returned to the stock. Place a new hold."
    case .idempotencyKeyReused:
      "An earlier request with other content has used this key. A key belongs to one request. Nothing was done. "
        + "Use a new key for a new request, or repeat the earlier request unchanged."
    case .insufficientScope:
      "The key is valid, but its scope does not include this request. Nothing was done. The member required_scope is "
        + "the scope that is needed. Use another key, or ask the operator of the server for one."
    case .insufficientStock:
      "The request needs more units than are available. Nothing was done. Ask for fewer units, or try again "
        + "later. Units of released or expired holds, and of cancelled or expired orders, are returned to the stock."
    case .internalError:
      "The server has a fault. The request may or may not have taken effect. The server's log has the details "
        + "under the X-Request-Id of the response. Report that id to the operator."
    case .invalidCustomerToken:
      "The token in the Authorization header is not valid. The member detail says why. Nothing was done. Get a new "
        + "token from the shop. It is a JSON Web Token, signed with HS256, with sub, exp, and flashsale as its aud."
    case .invalidSignature:
      "The payment event has no valid signature. The member detail says what is wrong. Nothing was done. Sign the "
        + "raw bytes of the body by the Standard Webhooks scheme. The timestamp may be at most five minutes off."
    case .malformedRequest:
      "The request is not valid HTTP, or its body is not one JSON object in UTF-8. Nothing was done. The member "
        + "detail says what is wrong. Correct the client."
    case .methodNotAllowed:
      "The address exists, but it does not allow this method. Nothing was done. The header Allow lists the "
        + "methods of the address."
    case .misdirectedRequest:
      "The Host header does not name this machine. `flashsale demo` accepts only localhost, 127.0.0.1 and [::1]. "
        + "Nothing was done. Use one of these names, or `flashsale serve`."
    case .notAcceptable:
      "The response exists only in the formats that detail lists, and Accept names none of them. Nothing was done. Send "
        + "another Accept, or none."
    case .notFound:
      "The address does not exist, or no resource has this id. Check the address. Compare the id with the "
        + "response that contained it."
    case .orderNotPaid:
      "Only the money of a paid order can be refunded. The member order_status is the status of this order. Nothing was "
        + "done. A payment that could not pay its order is settled instead: see POST "
        + "/api/admin/payment-events/{idempotency_key}/settle."
    case .outcomeUnknown:
      "The database's answer was lost, and the server could not find out the outcome in time. The request may or "
        + "may not have taken effect. Repeat it with the same Idempotency-Key, or the same idempotency_key: it then "
        + "has one effect. If a request that creates or restocks a product had no key, read the product before you "
        + "repeat the request."
    case .overloaded:
      "Too many requests are waiting for the database, or too many streams are open, or too many exports run. Nothing "
        + "was done. Repeat the request after the time in Retry-After."
    case .payloadTooLarge:
      "The body is larger than the server accepts. Nothing was done, and the connection was closed. Send a "
        + "smaller body."
    case .refundNotDue:
      "Only a success with the verdict refund_due, amount_mismatch or parked can be settled. Nothing was done. "
        + "Check the idempotency key."
    case .refundTooLarge:
      "All refunds of an order together are at most its amount. The member refundable_amount is what is left, in minor "
        + "units of the order's currency. Nothing was done. Read the order: another refund may have been recorded."
    case .requestTimeout:
      "The request did not arrive completely within the server's time limit. Nothing was done, and the connection "
        + "was closed. Repeat the request, and send it without pauses."
    case .saleEnded:
      "Units can be held until ends_at. That time has passed. Nothing was held. Existing holds can still be "
        + "ordered, and existing orders can still be paid."
    case .saleNotStarted:
      "Units can be held from starts_at on, by the database's clock. Nothing was held. Retry-After is the time "
        + "until then."
    case .salePaused:
      "The shop has paused the sale. Nothing was held. Existing holds can still be ordered, and existing orders can "
        + "still be paid. The stream of the product tells when the sale goes on."
    case .shuttingDown:
      "The server is shutting down. Nothing was done. Repeat the request; another server will handle it."
    case .tooManyEndpoints:
      "A shop can have 50 webhook endpoints, because each event is matched with all of them. Nothing was done. Delete "
        + "an endpoint that nobody needs, or send the events to one receiver that passes them on."
    case .tooManyRequests:
      "The server limits how often one client may change something. A client is a customer with a token, or a network "
        + "address. Nothing was done. Repeat the request after the time in Retry-After."
    case .unauthorized:
      "Admin requests need an admin key, the server's admin token or a session, and GET /metrics may need a token of "
        + "its own. Nothing was done. Send the key or token as Authorization: Bearer <token>, or sign in again."
    case .unsupportedMediaType:
      "The body is not labelled as JSON, or it has a Content-Encoding. Or a page of another site sent a form or text. "
        + "Nothing was done. Send JSON, with Content-Type: application/json and without Content-Encoding."
    case .validation:
      "Members of the body, headers or parameters are missing or invalid. Nothing was done. The member errors "
        + "lists all of them. Each has a JSON pointer (or / and the name of a header or parameter) and the expected "
        + "value."
    }
  }
}
