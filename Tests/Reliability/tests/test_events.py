"""The checker refuses events that must not be, and nothing else. Run with: python3 -m unittest, in
Tests/Reliability."""

import base64
import hmac
import json
import unittest
from typing import Any

from reliability.checker.events import SUBSCRIPTIONS, Receipt, Recorded, check, kind_of, wants
from reliability.endpoint import is_signed

from .story import HOLD, HOLD_TTL, ORDER, ORDER_TTL, Story, event, hold, order, product, take, text

OWED = "p2"


def sale() -> Story:
    """Two holds, of which one lapses; the order is paid twice and refunded in parts; and the last unit is sold."""
    story = Story(2).holds(0).holds(0, "hold_b").places(1)
    story.commit(1.001, order(payment_due_at=1.2 + ORDER_TTL))   # corrected, after a wait
    story.pays(2, "p", "applied", "paid", order(status="paid", paid_at=2, version=2), product(version=1))
    story.commit(2.5, hold("hold_b", status="expired"), take(-1)).pays(3, OWED, "refund_due", "paid")
    story.commit(3.5, event(OWED, settled_at=3.5))
    story.commit(4, order(refunded_amount=40, version=3))
    return story.commit(5, order(refunded_amount=100, status="refunded", version=4))


class Events:
    """The events of the sale, as they were recorded and received. Each is known by its type."""

    def __init__(self, story: Story | None = None) -> None:
        self.story = story or sale()
        self.recorded: list[Recorded] = []
        self.receipts: list[Receipt] = []
        for hold_id in (HOLD, "hold_b"):
            self.add("hold.placed", hold_id, 1, **hold_data(hold_id, "active"))
        self.add("order.placed", ORDER, 1, **order_data("pending_payment"))
        self.add("order.paid", ORDER, 2, **order_data("paid", 2))
        self.add("product.sold_out", "1", 1, id=1)
        self.add("hold.expired", "hold_b", 2, **hold_data("hold_b", "expired"))
        self.add("refund.due", OWED, 1, idempotency_key=OWED, order_id=ORDER, status="success", amount=None,
                 currency=None, verdict="refund_due", order_status="paid", received_at=text(2.999))
        self.add("order.refunded", ORDER, 3, **order_data("paid", 2, 40))
        self.add("order.refunded", ORDER, 4, **order_data("refunded", 2, 100))

    def add(self, type: str, object: str, version: int, **data: Any) -> None:
        id = f"evt_{len(self.recorded)}"
        self.recorded.append((id, type, object, version))
        body = json.dumps({"id": id, "type": type, "data": {**data, "version": version}})
        self.receipts += [
            Receipt(endpoint, id, body, True, True) for endpoint in SUBSCRIPTIONS if wants(endpoint, type)]

    def ids(self, type: str) -> list[str]:
        return [id for id, each, *_ in self.recorded if each == type]

    def again(self, type: str, endpoint: str = "", **changes: Any) -> "Events":
        """The first event of the type comes once more, changed."""
        receipt = next(each for each in self.receipts if each.id in self.ids(type))
        self.receipts.append(receipt._replace(**changes, endpoint=endpoint or receipt.endpoint))
        return self

    def tells(self, type: str, **data: Any) -> "Events":
        """The data of all events of the type differ."""
        for at, receipt in enumerate(self.receipts):
            if receipt.id in self.ids(type):
                body = json.loads(receipt.body)
                body["data"] |= data
                self.receipts[at] = receipt._replace(body=json.dumps(body))
        return self

    def without(self, type: str, endpoint: str = "", at: int = 0, is_recorded: bool = True) -> "Events":
        """An event of the type did not come to the endpoint, or to any; or was not even recorded."""
        id = self.ids(type)[at]
        self.receipts = [each for each in self.receipts if each.id != id or endpoint not in ("", each.endpoint)]
        self.recorded = [each for each in self.recorded if each[0] != id or is_recorded]
        return self

    def refused(self, type: str, endpoint: str) -> "Events":
        self.receipts = [each._replace(is_accepted=False) if each.id in self.ids(type) and each.endpoint == endpoint
                         else each for each in self.receipts]
        return self

    def also(self, type: str, object: str, version: int, **data: Any) -> "Events":
        self.add(type, object, version, **data)
        return self

    def violations(self) -> list[str]:
        return [*check(self.story.log, self.recorded, self.receipts)]


def hold_data(id: str, status: str) -> dict[str, Any]:
    return {"hold_id": id, "status": status, "product_id": 1, "quantity": 1, "customer_id": None,
            "expires_at": text(HOLD_TTL)}


def order_data(status: str, paid_at: float | None = None, refunded: int = 0) -> dict[str, Any]:
    return {"order_id": ORDER, "status": status, "product_id": 1, "quantity": 1, "amount": 100, "currency": "USD",
            "refunded_amount": refunded, "dispute": None, "payment_due_at": text(1.2 + ORDER_TTL),
            "created_at": text(0.999), "paid_at": None if paid_at is None else text(paid_at)}


ORDERS, ALL = SUBSCRIPTIONS


class EventTests(unittest.TestCase):
    def judge(self, *cases: tuple[str, Events, *tuple[str, ...]]) -> None:
        """Each case is a sentence, events, and words of the violations; without words there must be none."""
        for sentence, events, *words in cases:
            with self.subTest(sentence):
                violations = events.violations()
                for word in words:
                    self.assertTrue(any(word in violation for violation in violations), (word, violations))
                if not words:
                    self.assertEqual(violations, [])

    def test_what_comes(self) -> None:
        backwards = Events()
        backwards.receipts.reverse()
        self.judge(
            ("every event comes", Events()),
            ("events come in another order", backwards),
            ("an event comes again", Events().again("order.paid")),
            ("an event comes without its signature", Events().again("order.paid", is_signed=False), "its signature"),
            ("a forged event alone is no delivery", Events().without("order.paid", ORDERS).again(
                "order.paid", ORDERS, is_signed=False), f"order.paid with version 2 of {ORDER} never came to {ORDERS}"),
            ("an event comes to one endpoint only", Events().without("order.placed", ALL), f"never came to {ALL}"),
            ("an event of a hold does not come", Events().without("hold.expired"), f"never came to {ALL}"),
            ("an event of a payment does not come", Events().without("refund.due"), "never came to"),
            ("the newest event does not come", Events().without("order.refunded", at=1), "version 4 of"),
            ("an event is never accepted", Events().refused("order.paid", ORDERS), f"never came to {ORDERS}"),
            ("an event is accepted in the end", Events().refused("order.paid", ORDERS).again("order.paid", is_accepted=True)),
            ("an event comes where nobody wants it", Events().again("hold.placed", ORDERS), "does not want hold."),
            ("an event comes with two bodies", Events().again("order.paid", body="{}"), "came with two bodies"),
            ("an event comes under another id", Events().again("order.paid", id="evt_x"), "evt_x came as evt_3"))

    def test_what_is_recorded(self) -> None:
        def changed(*rows: Any) -> Events:
            return Events(sale().commit(6, *rows))

        self.judge(
            ("a transition has no event", Events().without("order.paid", is_recorded=False),
             "is order.paid in the log, and None in the table", "never came to"),
            ("a hold has no event", Events().without("hold.placed", is_recorded=False), "is hold.placed in the log"),
            ("a number of a hold is taken", changed(hold("hold_c", status="released"))),
            ("an event tells what never happened",
             Events().also("hold.released", HOLD, 2, **hold_data(HOLD, "released")), "is None in the log, and hold.released in the table"),
            ("a version has two events", Events().also("order.paid", ORDER, 2, **order_data("paid", 2)),
             "order_a has two events with version 2", "the table of events has ('evt_9"),
            ("a transition has the event of another", Events().without("order.paid", is_recorded=False).also(
                "order.cancelled", ORDER, 2, **order_data("cancelled")),
             "is order.paid in the log, and order.cancelled in the table"),
            ("a transition does not count", changed(order(refunded_amount=101)), "has version 4 after order.refunded"),
            ("nothing counts", changed(order(version=5)), "has version 5 after None"),
            ("a product counts twice", changed(product(version=3)), "has version 3 after product.sold_out"),
            ("a settled payment is no event", changed(event("p3", verdict="refund_due", settled_at=5))),
            ("a parked payment is due", changed(event("p3", verdict="refund_due", settled_at=None)),
             "is refund.due in the log"),
            ("an amount is wrong", changed(event("p3", verdict="amount_mismatch", settled_at=None)),
             "is payment.mismatched in the log"),
            ("stock is added", changed(product(version=2, total_stock=3)), "is product.restocked in the log"),
            ("a sale is paused", changed(product(version=2, is_paused=True)), "is product.paused in the log"))

    def test_what_is_told(self) -> None:
        self.judge(*(
            (f"{type} is wrong about its {name}", Events().tells(type, **{name: value}), f"tells {name}")
            for type, name, value in (
                ("order.placed", "status", "paid"), ("order.placed", "payment_due_at", text(1 + ORDER_TTL)),
                ("order.paid", "paid_at", None), ("order.paid", "paid_at", text(2.01)), ("order.paid", "amount", 99),
                ("order.placed", "paid_at", text(2)), ("order.refunded", "refunded_amount", 60),
                ("hold.placed", "status", "expired"), ("hold.placed", "expires_at", text(1)),
                ("hold.expired", "customer_id", "c"), ("refund.due", "verdict", "applied"))))

    def test_what_endpoints_want(self) -> None:
        self.assertEqual([wants(ORDERS, type) for type in ("order.paid", "hold.placed", "refund.due")],
                         [True, False, False])
        self.assertEqual([wants("*", type) for type in ("order.paid", "hold.placed", "refund.due")],
                         [True, False, True])
        self.assertTrue(wants(ALL, "hold.placed") and wants("hold.placed", "hold.placed"))
        self.assertEqual(kind_of("refund.due"), "refund")

    def test_signatures(self) -> None:
        def judge(secret: bytes = b"secret", **changes: str) -> bool:
            good = base64.b64encode(hmac.digest(b"secret", b"evt_1.5.{}", "sha256")).decode()
            headers = {"webhook-id": "evt_1", "webhook-timestamp": "5", "webhook-signature": f"v1,older v1,{good}"}
            headers |= {f"webhook-{name}": value for name, value in changes.items()}
            return is_signed(headers, b"{}", secret)

        self.assertTrue(judge())
        self.assertFalse(judge(b"other") or judge(id="evt_2") or judge(timestamp="6") or judge(signature="v1,older"))


if __name__ == "__main__":
    unittest.main()
