"""Transactions and calls for the checker's tests."""

import unittest
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from reliability.checker.changes import TABLES, Change, Transaction
from reliability.checker.conditions import Conditions, Lock
from reliability.checker.judge import judge
from reliability.history import Call

ZERO = 1_800_000_000.0
HOLD_TTL, ORDER_TTL, PARKED_TTL = 2.0, 3.0, 4.0
HOLD, ORDER = "hold_a", "order_a"

# A table, the id of a row, and what of the row changes; None where it is deleted.
Row = tuple[str, str, dict[str, Any] | None]


def text(time: float) -> str:
    return datetime.fromtimestamp(ZERO + time, UTC).isoformat()


def problem(slug: str, **members: Any) -> dict[str, Any]:
    return {"type": f"/problems/{slug}", **members}


def product(**values: Any) -> Row:
    return "products", "1", values


def take(units: int) -> Row:
    return product(available_stock=lambda available: available - units)


def hold(id: str = HOLD, **values: Any) -> Row:
    return "holds", id, {"id": id, "product_id": 1, **values}


def order(id: str = ORDER, **values: Any) -> Row:
    return "orders", id, {"id": id, "product_id": 1, **values}


def event(key: str, **values: Any) -> Row:
    return "payment_events", key, {"idempotency_key": key, "product_id": 1, **values}


PAID = order(status="paid")


class Story:
    """Transactions and calls as they would be found. Times are seconds after `ZERO`."""

    def __init__(self, stock: int = 5, **values: Any) -> None:
        self.log: list[Transaction] = []
        self.calls: list[Call] = []
        self.conditions = Conditions((HOLD_TTL,), (ORDER_TTL,), PARKED_TTL, False, 2.0, 0.02)
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.commit(-10, product(
            id=1, total_stock=stock, available_stock=stock, starts_at=None, ends_at=None, max_quantity_per_hold=None,
            max_per_customer=None, price=100, is_paused=False, version=0), product(**values))

    def commit(self, time: float, *rows: Row, locked: float | None = None) -> Self:
        at = ZERO + (time - 0.001 if locked is None else locked)
        changes = []
        for table, id, values in rows:
            before = self._rows.pop((table, id), None)
            row = None
            if values is not None:
                row = dict(before or {})
                for name, value in values.items():
                    value = value(row[name]) if callable(value) else value
                    row[name] = ZERO + value if name.endswith("_at") and value is not None else value
                self._rows[table, id] = row
            changes.append(Change(table, id, at, None if before is None else str(before[TABLES[table]]), row))
        self.log.append(Transaction(str(len(self.log)), min(at, ZERO + time - 0.002), ZERO + time, changes))
        return self

    def call(self, operation: str, start: float, end: float, request: dict[str, Any], status: int,
             answer: dict[str, Any], key: str | None = None, replay: bool = False, retry_after: int | None = 1) -> Self:
        call = Call(0, 0, operation, 1, request, key, ZERO + start, ZERO + end)
        call.answered(status, answer, replay, retry_after)
        self.calls.append(call)
        return self

    # What happens, each with the call that asks for it

    def holds(self, time: float, id: str = HOLD, quantity: int = 1, customer: str | None = None,
              expires: float | None = None, locked: float | None = None, **call: Any) -> Self:
        expires = time + HOLD_TTL if expires is None else expires
        keys: list[Row] = [("idempotency_keys", call["key"], {
            "key": call["key"], "product_id": 1, "customer_id": customer or "", "operation": "reserve_hold",
            "hold_id": id})] if call.get("key") else []
        self.commit(time, hold(id, quantity=quantity, status="active", customer_id=customer, expires_at=expires),
                    take(quantity), *keys, locked=locked)
        answer = {"hold_id": id, "product_id": 1, "quantity": quantity, "status": "active", "expires_at": text(expires)}
        return self.asks_hold(time - 0.01, time + 0.01, quantity, customer, 201, answer, **call)

    def places(self, time: float, id: str = ORDER, quantity: int = 1, created: float | None = None,
               status: str = "pending_payment", *more: Row) -> Self:
        created = time - 0.001 if created is None else created
        of = id.replace("order_", "hold_")
        self.commit(time, hold(of, status="ordered"), order(
            id, quantity=quantity, amount=100 * quantity, currency="USD", status=status,
            created_at=created, payment_due_at=created + ORDER_TTL, paid_at=None, refunded_amount=0, dispute=None,
            is_restocked=False, version=1), *more)
        return self.call("order", time - 0.01, time + 0.01, {"hold_id": of}, 201, {
            "order_id": id, "hold_id": of, "product_id": 1, "quantity": quantity, "created_at": text(created),
            "amount": 100 * quantity, "currency": "USD", "status": status, "payment_due_at": text(created + ORDER_TTL)})

    def pays(self, time: float, key: str, verdict: str, order_status: str | None, *rows: Row, status: str = "success",
             amount: int | None = None) -> Self:
        self.commit(time, event(
            key, order_id=ORDER, status=status, amount=amount, currency=None, verdict=verdict,
            order_status=order_status, received_at=time - 0.001, settled_at=None), *rows)
        code = 202 if verdict == "parked" else 200
        return self.asks_pay(time - 0.01, time + 0.01, key, code, verdict, order_status, status, amount)

    def expires(self, time: float, quantity: int = 1) -> Self:
        return self.commit(time, order(status="expired"), take(-quantity))

    # Calls alone

    def asks_hold(self, start: float, end: float, quantity: int, customer: str | None, status: int,
                  answer: dict[str, Any], **call: Any) -> Self:
        request = {"product_id": 1, "quantity": quantity} | ({"customer_id": customer} if customer else {})
        return self.call("hold", start, end, request, status, answer, **call)

    def asks_pay(self, start: float, end: float, key: str, code: int, verdict: str, order_status: str | None,
                 status: str = "success", amount: int | None = None, **call: Any) -> Self:
        request = {"idempotency_key": key, "order_id": ORDER, "status": status} | ({"amount": amount} if amount else {})
        answer = {"order_id": ORDER, "verdict": verdict, "order_status": order_status}
        return self.call("pay", start, end, request, code, answer, **call)

    def reads(self, start: float, end: float, available: int, status: str = "on_sale", **values: Any) -> Self:
        return self.call("product", start, end, {"product_id": 1}, 200, {
            "id": 1, "available_stock": available, "status": status, "total_stock": 5, "max_quantity_per_hold": None,
            "max_per_customer": None, **values})

    def reads_hold(self, start: float, end: float, status: str) -> Self:
        return self.call("read_hold", start, end, {"hold_id": HOLD}, 200, {"status": status})

    def reads_order(self, start: float, end: float, status: int, answer: dict[str, Any]) -> Self:
        return self.call("read_order", start, end, {"order_id": ORDER}, status, answer)

    def releases(self, start: float, end: float) -> Self:
        return self.call("release", start, end, {"hold_id": HOLD}, 200, {"hold_id": HOLD, "status": "released"})

    def refunds(self, start: float, end: float, key: str, status: int, answer: dict[str, Any], **asked: Any) -> Self:
        request = {"order_id": ORDER, "restock": False, **asked}
        return self.call("refund", start, end, request, status, answer, key)

    # Conditions of the run

    def under(self, **conditions: Any) -> Self:
        vars(self.conditions).update(conditions)
        return self

    def killed(self, at: float) -> Self:
        return self.under(kills=[ZERO + at])

    def lock(self, table: str, id: str, begin: float, end: float) -> Self:
        self.conditions.locks.append(Lock(1, table, (id,), ZERO + begin, ZERO + end))
        return self

    # Changes of what was told so far

    def but(self, change: Callable[["Story"], object]) -> Self:
        """With something changed by hand."""
        change(self)
        return self

    def answered(self, status: int, answer: dict[str, Any]) -> Self:
        """The last call had another answer."""
        self.calls[-1].answered(status, answer, False, 1)
        return self

    def told(self, at: int, **members: Any) -> Self:
        """The answer to a call differs."""
        self.calls[at].answer.update(members)
        return self

    def without_calls(self, count: int = 1) -> Self:
        del self.calls[-count:]
        return self

    def judge(self) -> list[str]:
        return judge(self.log, self.calls, self.conditions).violations


# A sentence, a story, and words of the violations that it must have. Without words it must have none.
Case = tuple[str, Story, *tuple[str, ...]]


class StoryTests(unittest.TestCase):
    def judge(self, cases: list[Case]) -> None:
        for sentence, story, *words in cases:
            with self.subTest(sentence):
                violations = story.judge()
                for word in words:
                    self.assertTrue(any(word in violation for violation in violations), (word, violations))
                if not words:
                    self.assertEqual(violations, [])
