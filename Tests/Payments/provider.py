"""Stripe, as its public API reference describes it, and the operator who refunds."""

import http.client
import http.server
import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import stripe

COPIES = 5  # deliveries of each event
AT_ONCE = 20  # requests at the same time
SEED = 1

Answer = tuple[int, dict]


def event(type: str, order: str | None, **members: object) -> str:
    """An event whose object has these members. Stripe copies the metadata of a PaymentIntent to its charges only."""
    metadata = {"order_id": order} if order else {}
    return json.dumps({
        "id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": type, "livemode": False,
        "data": {"object": {**members, "currency": "usd", "metadata": metadata}}})


def events_of_payment(order: str, amount: int) -> list[str]:
    """The two events of a paid Checkout session."""
    digits = order.removeprefix("order_")
    return [
        event("payment_intent.succeeded", order, id=f"pi_{digits}", object="payment_intent", status="succeeded",
              amount=amount, amount_received=amount),
        event("checkout.session.completed", order, id=f"cs_{digits}", object="checkout.session", status="complete",
              mode="payment", payment_status="paid", payment_intent=f"pi_{digits}", amount_total=amount,
              client_reference_id=order),
    ]


def events_of_refund(order: str, amount: int) -> list[str]:
    """What Stripe sends when all of a payment is refunded. The refund itself has no metadata."""
    digits = order.removeprefix("order_")
    refund = {"id": f"re_{digits}", "object": "refund", "payment_intent": f"pi_{digits}", "charge": f"ch_{digits}",
              "amount": amount, "status": "succeeded"}
    return [
        event("charge.refunded", order, id=f"ch_{digits}", object="charge", payment_intent=f"pi_{digits}",
              amount=amount, amount_refunded=amount),
        event("refund.created", None, **refund), event("refund.updated", None, **refund),
    ]


class Shop:
    """A server, and the requests of buyers, of Stripe and of an operator."""

    def __init__(self, url: str, token: str, secret: str, product: int | None = None) -> None:
        self._address = urlsplit(url).netloc
        self._token, self._secret, self._product = token, secret, product
        self._random = random.Random(SEED)
        self._local = threading.local()

    def _post(self, path: str, body: str, headers: dict[str, str]) -> Answer:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(self._address, timeout=30)
        connection = self._local.connection
        connection.request("POST", path, body, {"Content-Type": "application/json"} | headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def send(self, event: str) -> Answer:
        signature = stripe.WebhookSignature.generate_signature_header(event, self._secret)
        return self._post("/api/payments/webhook/stripe", event, {"Stripe-Signature": signature})

    def _hold(self) -> str:
        return self._post("/api/holds", json.dumps({"product_id": self._product, "quantity": 1}), {})[1]["hold_id"]

    def _place(self, hold: str) -> Answer:
        return self._post("/api/orders", json.dumps({"hold_id": hold}), {})

    def _refund(self, order: str, is_restock: bool) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"refund-{order}"}
        return self._post(f"/api/admin/orders/{order}/refunds", json.dumps({"restock": is_restock}), headers)

    def pay(self, count: int) -> tuple[list[str], Counter[int]]:
        """Pays orders, half of them early; returns their ids, and the statuses of all events."""
        calls: list[Callable[[], Answer]] = []
        statuses: Counter[int] = Counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            holds = list(pool.map(lambda _: self._hold(), range(count)))
            for _ in pool.map(self._place, holds[::2]):
                pass
            orders = [hold.replace("hold_", "order_") for hold in holds]
            for number, order in enumerate(orders):
                deliveries = events_of_payment(order, 100) * COPIES
                self._random.shuffle(deliveries)
                calls += [lambda event=event: self.send(event) for event in deliveries]
                if number % 2 == 1:  # the order comes between the deliveries
                    calls.insert(-COPIES, lambda hold=holds[number]: self._place(hold))
            for status, body in pool.map(lambda call: call(), calls):
                if "verdict" in body:
                    statuses[status] += 1
                elif status != 201:
                    raise AssertionError(f"{status} {body}")
        return orders, statuses

    def refund(self, orders: Iterable[str], amount: int) -> list[Answer]:
        """Refunds orders in all ways at once; returns the unexpected responses."""
        calls: list[Callable[[], Answer]] = []
        for number, order in enumerate(orders):
            is_restock = number % 2 == 0
            of_order = [lambda event=event: self.send(event) for event in events_of_refund(order, amount) * 2]
            of_order += [lambda order=order, is_restock=is_restock: self._refund(order, is_restock)] * 2
            self._random.shuffle(of_order)
            calls += of_order
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda call: call(), calls))
        # Without restocking, nothing is left to do for an operator who comes after Stripe's event.
        return [answer for answer in answers if answer[0] not in (200, 201, 409)]


class Recorder:
    """A server that accepts everything and keeps it."""

    def __enter__(self) -> "Recorder":
        requests: list[tuple[http.client.HTTPMessage, bytes]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                requests.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
                body = b'{"verdict":"applied"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._requests = requests
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()

    def take(self) -> list[tuple[http.client.HTTPMessage, bytes]]:
        """The requests since the last call."""
        taken = list(self._requests)
        self._requests.clear()
        return taken
