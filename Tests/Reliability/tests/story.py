"""Transactions and calls for the checker's tests."""

import unittest
from datetime import UTC, datetime
from typing import Any

from reliability.checker.changes import TABLES, Change, Transaction
from reliability.checker.conditions import Conditions, Lock
from reliability.checker.judge import judge
from reliability.history import Call

ZERO = 1_800_000_000.0
HOLD_TTL, ORDER_TTL, PARKED_TTL = 2.0, 3.0, 4.0
HOLD, ORDER = "hold_a", "order_a"


def text(time: float) -> str:
    return datetime.fromtimestamp(ZERO + time, UTC).isoformat()


class Story:
    """Transactions and calls as they would be found. Times are seconds after `ZERO`."""

    def __init__(self, stock: int = 5, **product: Any) -> None:
        self.log: list[Transaction] = []
        self.calls: list[Call] = []
        self.locks: list[Lock] = []
        self.kills: list[float] = []
        self.undisturbed: tuple[int, ...] = ()
        self.has_faults = False
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.commit(-10, self.product(
            id=1, total_stock=stock, available_stock=stock, starts_at=None, ends_at=None, max_quantity_per_hold=None,
            max_per_customer=None, price=100, **{}), self.product(**product))

    # Rows: what of them changes

    def product(self, **values: Any) -> tuple[str, str, dict[str, Any]]:
        return "products", "1", values

    def take(self, units: int) -> tuple[str, str, dict[str, Any]]:
        return self.product(available_stock=lambda available: available - units)

    def hold(self, id: str = HOLD, **values: Any) -> tuple[str, str, dict[str, Any]]:
        return "holds", id, {"id": id, "product_id": 1, **values}

    def order(self, id: str = ORDER, **values: Any) -> tuple[str, str, dict[str, Any]]:
        return "orders", id, {"id": id, "product_id": 1, **values}

    def event(self, key: str, **values: Any) -> tuple[str, str, dict[str, Any]]:
        return "payment_events", key, {"idempotency_key": key, "product_id": 1, **values}

    def commit(self, time: float, *rows: tuple[str, str, dict[str, Any] | None], locked: float | None = None) -> None:
        at = ZERO + (time - 0.001 if locked is None else locked)
        changes = []
        for table, id, values in rows:
            before = self._rows.get((table, id))
            was = None if before is None else str(before[TABLES[table]])
            row = None
            if values is not None:
                row = dict(before or {})
                for name, value in values.items():
                    value = value(row[name]) if callable(value) else value
                    row[name] = ZERO + value if name.endswith("_at") and value is not None else value
                self._rows[table, id] = row
            else:
                self._rows.pop((table, id))
            changes.append(Change(table, id, at, was, row))
        self.log.append(Transaction(str(len(self.log)), min(at, ZERO + time - 0.002), ZERO + time, changes))

    # What happens

    def holds(self, time: float, id: str = HOLD, quantity: int = 1, customer: str | None = None,
              expires: float | None = None, locked: float | None = None, **call: Any) -> None:
        """With the call that asks for it."""
        expires = time + HOLD_TTL if expires is None else expires
        keys = [("idempotency_keys", call["key"], {
            "key": call["key"], "product_id": 1, "customer_id": customer or "", "operation": "reserve_hold", "hold_id": id,
        })] if call.get("key") else []
        self.commit(time, self.hold(id, quantity=quantity, status="active", customer_id=customer, expires_at=expires),
                    self.take(quantity), *keys, locked=locked)
        self.asks_hold(time - 0.01, time + 0.01, quantity, customer, 201, {
            "hold_id": id, "product_id": 1, "quantity": quantity, "status": "active", "expires_at": text(expires)}, **call)

    def asks_hold(self, start: float, end: float, quantity: int, customer: str | None, status: int,
                  answer: dict[str, Any], **call: Any) -> None:
        request = {"product_id": 1, "quantity": quantity} | ({"customer_id": customer} if customer else {})
        self.call("hold", start, end, request, status, answer, **call)

    def places(self, time: float, id: str = ORDER, quantity: int = 1, created: float | None = None,
               status: str = "pending_payment", *more: Any) -> None:
        created = time - 0.001 if created is None else created
        hold = id.replace("order_", "hold_")
        self.commit(time, self.hold(hold, status="ordered"), self.order(
            id, quantity=quantity, amount=100 * quantity, currency="USD", status=status,
            created_at=created, payment_due_at=created + ORDER_TTL), *more)
        self.call("order", time - 0.01, time + 0.01, {"hold_id": hold}, 201, {
            "order_id": id, "hold_id": hold, "product_id": 1, "quantity": quantity, "created_at": text(created), "amount": 100 * quantity, "currency": "USD",
            "status": status, "payment_due_at": text(created + ORDER_TTL)})

    def pays(self, time: float, key: str, verdict: str, order_status: str | None, *rows: Any, status: str = "success",
             id: str = ORDER, amount: int | None = None) -> None:
        self.commit(time, self.event(
            key, order_id=id, status=status, amount=amount, currency=None, verdict=verdict, order_status=order_status,
            received_at=time - 0.001, settled_at=None), *rows)
        code = 202 if verdict == "parked" else 200
        self.asks_pay(time - 0.01, time + 0.01, key, code, verdict, order_status, status, id, amount)

    def asks_pay(self, start: float, end: float, key: str, code: int, verdict: str, order_status: str | None,
                 status: str = "success", id: str = ORDER, amount: int | None = None, **call: Any) -> None:
        request = {"idempotency_key": key, "order_id": id, "status": status} | ({"amount": amount} if amount else {})
        answer = {"order_id": id, "verdict": verdict, "order_status": order_status}
        self.call("pay", start, end, request, code, answer, **call)

    def expires(self, time: float, quantity: int = 1) -> None:
        self.commit(time, self.order(status="expired"), self.take(-quantity))

    def call(self, operation: str, start: float, end: float, request: dict[str, Any], status: int,
             answer: dict[str, Any], key: str | None = None, replay: bool = False, retry_after: int | None = 1) -> None:
        call = Call(0, 0, operation, 1, request, key)
        call.answered(status, answer, replay, retry_after)
        call.start, call.end = ZERO + start, ZERO + end
        self.calls.append(call)

    def reads(self, start: float, end: float, available: int, status: str = "on_sale", **product: Any) -> None:
        self.call("product", start, end, {"product_id": 1}, 200, {
            "id": 1, "available_stock": available, "status": status, "total_stock": 5, "max_quantity_per_hold": None,
            "max_per_customer": None, **product})

    def reads_hold(self, start: float, end: float, status: str) -> None:
        self.call("read_hold", start, end, {"hold_id": HOLD}, 200, {"status": status})

    def lock(self, table: str, id: str, begin: float, end: float) -> None:
        self.locks.append(Lock(1, table, (id,), ZERO + begin, ZERO + end))

    def judge(self) -> list[str]:
        conditions = Conditions(
            (HOLD_TTL,), (ORDER_TTL,), PARKED_TTL, self.has_faults, 2.0, 0.02, self.locks, [ZERO + kill for kill in self.kills],
            self.undisturbed)
        return judge(self.log, self.calls, conditions).violations


def problem(slug: str, **members: Any) -> dict[str, Any]:
    return {"type": f"/problems/{slug}", **members}


class StoryTests(unittest.TestCase):
    def accept(self, story: Story) -> None:
        self.assertEqual(story.judge(), [])

    def refuse(self, story: Story, *words: str) -> None:
        violations = story.judge()
        for word in words:
            self.assertTrue(any(word in violation for violation in violations), (word, violations))
