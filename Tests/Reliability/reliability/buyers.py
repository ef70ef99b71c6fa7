"""Buyers who ask until they get: each holds one unit after the other, and repeats what failed under the same key."""

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from harness.processes import HarnessError, output_of
from harness.services import FLASHSALE, sql

from .asking import Answer, Client
from .promises import recorded

PAUSE = 0.05  # seconds, between an answer and the next request of a buyer


@dataclass
class Record:
    """What buyers saw."""

    asked: list[tuple[float, str, Answer]] = field(default_factory=list)  # with the moment of asking, and the call
    keys: set[str] = field(default_factory=set)
    holds: dict[str, str] = field(default_factory=dict)  # acknowledged, by key
    orders: set[str] = field(default_factory=set)        # acknowledged
    paid: set[str] = field(default_factory=set)          # of these, whose payment was
    contradictions: list[str] = field(default_factory=list)
    returned_at: float | None = None                     # when the network was back

    def add(self, at: float, call: str, answer: Answer) -> None:
        self.asked.append((at, call, answer))

    def add_hold(self, key: str, hold: str) -> None:
        """An acknowledged one."""
        if self.holds.setdefault(key, hold) != hold:
            self.contradictions.append(f"the key {key} led to {self.holds[key]}, then to {hold}")

    def slowest(self) -> float:
        return max((answer.seconds for _, _, answer in self.asked), default=0)

    def by_label(self) -> dict[str, int]:
        return dict(sorted(Counter(answer.label for _, _, answer in self.asked).items()))

    def first_hold_after(self, moment: float) -> float | None:
        """When the first answer that grants a hold arrived after it."""
        return min((at + answer.seconds for at, call, answer in self.asked
                    if call == "hold" and answer.is_success and at + answer.seconds > moment), default=None)


def compare(record: Record, there: set[str]) -> list[str]:
    """What buyers were told against the holds in the database: what is missing, and what is too much."""
    violations = list(record.contradictions)
    if lost := set(record.holds.values()) - there:
        violations.append(f"{len(lost)} acknowledged holds are not in the database, such as {min(lost)}")
    if len(there) > len(record.keys):
        violations.append(f"{len(there):,} holds came of {len(record.keys):,} keys")
    return violations


def lost(record: Record, url: str) -> list[str]:
    """The orders and payments that buyers were told of and that are not in the database."""
    return [f"{len(missing)} acknowledged {what} are not in the database, such as {min(missing)}"
            for what, missing in (
                ("orders", record.orders - recorded("order", "orders", url)),
                ("payments", record.paid - recorded("order", "orders where status = 'paid'", url))) if missing]


def holds_of(url: str) -> set[str]:
    """Those in the database, as clients see their ids. Buyers release none: one that is released stands for a batch
    whose answer was lost and that shall not come into effect any more."""
    rows = sql(url, "select replace(id::text, '-', '') from holds where status <> 'released'").splitlines()
    return {f"hold_{digits}" for digits in rows}


def audit_of(url: str) -> list[str]:
    """What `flashsale audit` complains of."""
    try:
        output_of(FLASHSALE, "audit", env={"DATABASE_URL": url})
        return []
    except HarnessError as error:
        return [str(error)]


class Buyer:
    """Every other one only holds; the others order too, and pay, or look at the product in between."""

    PATIENCE = 60  # seconds, after it was told to leave

    def __init__(self, number: int, url: str, product: int, record: Record, until: asyncio.Event) -> None:
        self._does_more = ("order", "", "look", "")[number % 4]
        self._client = Client(url)
        self._product, self._record, self._until = product, record, until
        self._deadline: float | None = None

    async def buy(self) -> None:
        """Again and again. When told to leave it does so with a success, or after a while without."""
        try:
            while await self._once() and not self._until.is_set():
                pass
        finally:
            self._client.close()

    async def _once(self) -> bool:
        """False when it had to give up."""
        key = uuid.uuid4().hex
        self._record.keys.add(key)
        held = await self._ask("hold", "/api/holds", {"product_id": self._product, "quantity": 1}, key)
        if held is None:
            return False
        hold = held.body["hold_id"]
        self._record.add_hold(key, hold)
        if self._does_more == "look":
            return await self._ask("look", f"/api/products/{self._product}") is not None
        if self._does_more == "order":
            order = hold.replace("hold_", "order_")
            payment = {"idempotency_key": key, "order_id": order, "status": "success"}
            if await self._ask("order", "/api/orders", {"hold_id": hold}, f"order-{key}") is None:
                return False
            self._record.orders.add(order)
            paid = await self._ask("payment", "/api/payments/webhook", payment)
            if paid is None:
                return False
            if paid.body.get("order_status") == "paid":
                self._record.paid.add(order)
            else:
                self._record.contradictions.append(f"{order} was acknowledged, and to its payment was said {paid.body}")
        return True

    async def _ask(self, call: str, path: str, body: object = None, key: str | None = None) -> Answer | None:
        """Until it succeeds, under the same key; None when it had to give up."""
        while True:
            at = time.monotonic()
            if body is None:
                answer = await self._client.get(path)
            else:
                answer = await self._client.post(path, body, **({"Idempotency_Key": key} if key else {}))
            self._record.add(at, call, answer)
            if not answer.is_success and self._until.is_set():
                self._deadline = self._deadline or time.monotonic() + self.PATIENCE
                if time.monotonic() > self._deadline:
                    self._record.contradictions.append(f"{call}: no success for {self.PATIENCE} s")
                    return None
            await asyncio.sleep(PAUSE)
            if answer.is_success:
                return answer


def crowd(count: int, url: str, product: int, record: Record, until: asyncio.Event) -> list[asyncio.Task[None]]:
    """Starts so many."""
    return [asyncio.create_task(Buyer(number, url, product, record, until).buy()) for number in range(count)]
