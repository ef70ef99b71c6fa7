"""Buyers who make calls for the length of a block, and the results of their calls."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence

from .client import Client
from .history import Call, History
from .shop import Buyer, Shop


class Crowd:
    """Buyers begin with the block. At its end each buyer waits for its last response."""

    def __init__(
        self, shop: Shop, count: int, ports: Sequence[int], history: History, seed: object, client: type[Client] = Client
    ) -> None:
        # Customers and keys contain the client's number, so each crowd of a history gets new numbers.
        first = 1000 * (1 + max((call.client for call in history.calls), default=-1) // 1000)
        self.shop = shop
        self._buyers = [Buyer(client(number, list(ports), history), shop, random.Random(f"{seed} {number}"))
                        for number in range(first, first + count)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Crowd":
        self._tasks = [asyncio.create_task(buyer.run(len(self._buyers))) for buyer in self._buyers]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.shop.is_over = True
        await asyncio.gather(*self._tasks)
        for buyer in self._buyers:
            buyer.client.close()


WRITES = {"hold": 201, "order": 201, "pay": 200, "release": 200}


def writes(calls: Iterable[Call]) -> list[float]:
    """When changes were acknowledged, on the monotonic clock."""
    return sorted(call.end_monotonic for call in calls if WRITES.get(call.operation) == call.status)


def failures(calls: Iterable[Call], may_be_refused: bool = False) -> list[str]:
    """The calls that failed, by kind. A refused connection has reached no server, so it may be allowed."""
    found = Counter(f"{call.operation}: {call.word}" for call in calls if call.status == 0 or call.status >= 500)
    return [f"{count} × {what}" for what, count in found.most_common()
            if not (may_be_refused and what.endswith(": connection refused"))]
