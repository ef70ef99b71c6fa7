"""Buyers of one product, who buy unit after unit until their block ends."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .client import Client
from .history import Call, History
from .shop import Person

# Between calls, so that connections are also idle now and then: a server that closes one meets a request on its way.
PAUSE = 0.04  # seconds at most
LEAVES_WITHIN = 60  # seconds, for a buyer who insists and was told to leave


class Purchaser(Person):
    """Looks, holds, orders, pays and reads; or only holds; or releases the hold again."""

    def __init__(self, client: Client, generator: random.Random, crowd: "Crowd") -> None:
        super().__init__(client, generator)
        self.crowd = crowd

    async def run(self) -> None:
        while not self.crowd.is_over:
            await self._purchase()
        self.client.close()

    async def _purchase(self) -> None:
        """Each step needs the answer to the one before."""
        if not await self._ask("product", {"product_id": self.crowd.product}):
            return
        held = await self._ask("hold", {
            "product_id": self.crowd.product, "quantity": 1, "customer_id": self.new_key("customer")}, self.new_key("h"))
        if not held or self.chance(0.3):
            return
        hold = held.answer["hold_id"]
        if self.chance(0.1):
            await self._ask("release", {"hold_id": hold})
            return
        order = hold.replace("hold_", "order_")
        # Any server says that the hold was ordered.
        for status in (201, 409):
            if not await self._ask("order", {"hold_id": hold}, self.new_key("o"), expected=status):
                return
        event = {"idempotency_key": self.new_key("p"), "order_id": order, "status": "success"}
        if await self._ask("pay", event):
            await self._ask("read_order", {"order_id": order})

    async def _ask(
        self, operation: str, request: dict[str, Any], key: str | None = None, expected: int | None = None
    ) -> Call | None:
        """The call with the expected answer. A buyer who insists asks again under the same key, elsewhere."""
        while True:
            await asyncio.sleep(self.random.uniform(0, self.crowd.pause))
            call = await self.call(operation, self.crowd.product, request, key)
            if call.status == (expected or (201 if operation in ("hold", "order") else 200)):
                return call
            if 0 < call.status < 500:
                self.crowd.violations.append(f"{operation} was answered {call.word}: {request}")
                return None
            if self.crowd.told_to_leave_for() > LEAVES_WITHIN:
                self.crowd.violations.append(f"{operation}: no success for {LEAVES_WITHIN} s")
                return None
            if not self.crowd.insists:
                return None


class Crowd:
    """Purchasers. They leave when the block ends; a purchaser who insists finishes the purchase first."""

    def __init__(
        self, count: int, ports: Sequence[int], product: int, seed: int, history: History, insists: bool = False,
        pause: float = PAUSE,
    ) -> None:
        self.product, self.insists, self.pause, self.history = product, insists, pause, history
        self.violations: list[str] = []
        self._left_at: float | None = None
        # Customers and keys contain the number, so each crowd of a history gets new numbers.
        first = 1000 * (1 + max((call.client for call in history.calls), default=-1) // 1000)
        self._purchasers = [
            Purchaser(Client(number, list(ports), history), random.Random(f"{seed} {number}"), self)
            for number in range(first, first + count)]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_over(self) -> bool:
        return self._left_at is not None

    def told_to_leave_for(self) -> float:
        return 0.0 if self._left_at is None else time.monotonic() - self._left_at

    async def __aenter__(self) -> "Crowd":
        self._tasks = [asyncio.create_task(purchaser.run()) for purchaser in self._purchasers]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._left_at = time.monotonic()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self.violations.append(f"a buyer ended: {type(result).__name__}: {result}")


WRITES = {"hold": 201, "order": 201, "pay": 200, "release": 200}


def writes(calls: Iterable[Call]) -> list[float]:
    """When a change was acknowledged, on the monotonic clock."""
    return sorted(call.end_monotonic for call in calls if WRITES.get(call.operation) == call.status)


def failures(calls: Iterable[Call], may_be_refused: bool = False) -> list[str]:
    """The calls that failed, by kind. A refused connection reached no server, so it may be allowed."""
    found = Counter(f"{call.operation}: {call.word}" for call in calls if call.status == 0 or call.status >= 500)
    return [f"{count} × {what}" for what, count in found.most_common()
            if not (may_be_refused and what.endswith(": connection refused"))]
