"""Buyers, a payment provider and an operator, who do all that may be done, and much that should not be."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..client import Client
from ..history import Call, Outcome

# How often each is done, of all calls.
WEIGHTS = {"hold": 30, "order": 17, "pay": 25, "release": 5, "product": 7, "read_hold": 5, "read_order": 5, "settle": 2}
# What customers have paid counts against their limit for good: others come.
CUSTOMERS = 10
CUSTOMERS_COME_EVERY = 8   # seconds
CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Held:
    product: int
    id: str
    at: float

    @property
    def order_id(self) -> str:
        return self.id.replace("hold_", "order_")


@dataclass(frozen=True, slots=True)
class Placed:
    product: int
    id: str
    amount: int
    at: float


@dataclass(slots=True)
class Shop:
    """What everybody knows together, so that they cross each other's ways."""

    products: list[int]
    rate: float           # calls a second, of all clients
    ttl: float            # seconds, the longest that an order waits for its payment
    parked_ttl: float
    available: dict[int, int] = field(default_factory=dict)    # by product, as last seen
    holds: deque[Held] = field(default_factory=lambda: deque(maxlen=60))
    orders: deque[Placed] = field(default_factory=lambda: deque(maxlen=400))
    keyed: deque[tuple[dict[str, Any], str]] = field(default_factory=lambda: deque(maxlen=60))   # holds, with their keys
    keyed_orders: deque[tuple[int, str, str]] = field(default_factory=lambda: deque(maxlen=60))  # product, hold, key
    events: deque[tuple[int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=100))
    parked: deque[tuple[float, int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=200))
    owed: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=50))               # product, key of an event
    is_over: bool = False
    is_settling: bool = False   # no more holds and orders


def after(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="milliseconds")


class Person:
    """Somebody who asks, on whichever server."""

    def __init__(self, client: Client, shop: Shop, generator: random.Random) -> None:
        self.client, self.shop, self.random = client, shop, generator
        self._count = 0

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def new_key(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self.client.number}-{self._count}"

    async def call(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> Call:
        return await self.client.call(operation, product, request, self.random.randrange(len(self.client.ports)), key)

    async def everywhere(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> list[Call]:
        """At all servers at once."""
        return await asyncio.gather(*(
            self.client.call(operation, product, request, server, key) for server in range(len(self.client.ports))))

    async def until_told(
        self, operation: str, product: int, request: dict[str, Any], key: str | None = None
    ) -> list[Call]:
        """Again under the same key when nobody tells what became of it, as clients are advised to."""
        calls = [await self.call(operation, product, request, key)]
        while calls[-1].outcome is Outcome.UNKNOWN and len(calls) < 4 and self.chance(0.7):
            await asyncio.sleep(self.random.uniform(0.05, 0.5))
            calls.append(await self.call(operation, product, request, key))
        return calls


class Buyer(Person):
    """Plays a buyer and the payment provider in turn."""

    async def run(self, clients: int) -> None:
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "hold": self.hold, "order": self.order, "pay": self.pay, "release": self.release, "product": self.product,
            "read_hold": self.read_hold, "read_order": self.read_order, "settle": self.settle}
        pause = clients / self.shop.rate
        await asyncio.sleep(self.random.random() * pause)
        while not self.shop.is_over:
            began = time.monotonic()
            action = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if self.shop.is_settling and action in ("hold", "order"):
                action = "product"
            await actions[action]()
            await asyncio.sleep(max(0.0, pause * self.random.uniform(0.5, 1.5) - (time.monotonic() - began)))

    async def hold(self) -> None:
        product = self.random.choice(self.shop.products)
        request: dict[str, Any] = {"product_id": product, "quantity": self.random.choice((1, 1, 1, 2, 2, 3, 5))}
        if self.chance(0.85):
            request["customer_id"] = self._customer()
        key = self.new_key("h") if self.chance(0.5) else None
        if self.shop.keyed and self.chance(0.1):
            # Somebody's key: the same once more, or for something else, or by somebody who guessed it.
            request, key = self.random.choice(self.shop.keyed)
            if self.chance(0.3):
                request = request | {"quantity": request["quantity"] % 3 + 1}
            elif self.chance(0.4):
                request = request | {"customer_id": self._customer()}
            product = request["product_id"]
        if key and self.chance(0.15):
            calls = await self.everywhere("hold", product, request, key)
        else:
            calls = await self.until_told("hold", product, request, key)
        for call in calls:
            if call.status == 201:
                self.shop.holds.append(Held(product, call.answer["hold_id"], time.monotonic()))
                if key:
                    self.shop.keyed.append((request, key))
            elif call.problem == "insufficient-stock":
                self.shop.available[product] = call.answer["available_stock"]

    def _customer(self) -> str:
        generation = int(time.monotonic() / CUSTOMERS_COME_EVERY)
        return f"customer-{generation}-{self.random.randrange(CUSTOMERS)}"

    async def order(self) -> None:
        if not self.shop.holds:
            return
        held = self._hold()
        product, id = held.product, held.id
        key = self.new_key("o") if self.chance(0.5) else None
        if self.shop.keyed_orders and self.chance(0.06):
            product, id, key = self.random.choice(self.shop.keyed_orders)
            others = [other for other in self.shop.holds if other.product == product]
            if others and self.chance(0.4):
                id = self.random.choice(others).id
        if self.chance(0.15):
            calls = await self.everywhere("order", product, {"hold_id": id}, key)
        else:
            calls = await self.until_told("order", product, {"hold_id": id}, key)
        for call in calls:
            if call.status == 201:
                self.shop.orders.append(Placed(product, call.answer["order_id"], call.answer["amount"], time.monotonic()))
                if key:
                    self.shop.keyed_orders.append((product, id, key))

    def _hold(self) -> Held:
        """One of the last, mostly: they do not last long."""
        at = min(int(self.random.expovariate(0.1)), len(self.shop.holds) - 1)
        return self.shop.holds[-1 - at]

    # The payment provider

    async def pay(self) -> None:
        kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._pay_now: 40, self._pay_early: 15, self._pay_late: 25, self._pay_again: 8, self._pay_parked_again: 8,
            self._pay_otherwise: 4}
        await self.random.choices(list(kinds), list(kinds.values()))[0]()

    async def _pay_now(self) -> None:
        if self.shop.orders:
            at = min(int(self.random.expovariate(0.1)), len(self.shop.orders) - 1)
            await self._pay(self.shop.orders[-1 - at], 0.6)

    async def _pay_late(self) -> None:
        """When its time is over, or it was cancelled."""
        now = time.monotonic()
        over = [placed for placed in self.shop.orders if now - placed.at > self.shop.ttl]
        if over:
            await self._pay(self.random.choice(over[-40:]), 0.9)

    async def _pay(self, placed: Placed, successes: float) -> None:
        request: dict[str, Any] = {"idempotency_key": self.new_key("p"), "order_id": placed.id,
                                   "status": "success" if self.chance(successes) else "failed"}
        if self.chance(0.4):
            request |= {"amount": placed.amount + self.chance(0.1), "currency": "EUR" if self.chance(0.05) else CURRENCY}
        await self._deliver(placed.product, request)

    async def _pay_early(self) -> None:
        """Before its order, which may never come."""
        if self.shop.holds:
            held = self._hold()
            await self._deliver(held.product, {
                "idempotency_key": self.new_key("e"), "order_id": held.order_id,
                "status": "success" if self.chance(0.8) else "failed"})

    async def _pay_again(self) -> None:
        if self.shop.events:
            await self._deliver(*self.random.choice(self.shop.events))

    async def _pay_parked_again(self) -> None:
        """Just when it may be given up."""
        now = time.monotonic()
        due = [(product, request) for at, product, request in self.shop.parked
               if -0.5 < now - at - self.shop.parked_ttl < 2.5]
        if due:
            await self._deliver(*self.random.choice(due))

    async def _pay_otherwise(self) -> None:
        if self.shop.events:
            product, request = self.random.choice(self.shop.events)
            other = "failed" if request["status"] == "success" else "success"
            await self.call("pay", product, request | {"status": other})

    async def _deliver(self, product: int, request: dict[str, Any]) -> None:
        if self.chance(0.15):
            calls = await self.everywhere("pay", product, request)
        else:
            calls = await self.until_told("pay", product, request)
        self.shop.events.append((product, request))
        for call in calls:
            verdict = call.answer.get("verdict")
            if verdict == "parked" and not call.is_replay:
                self.shop.parked.append((time.monotonic(), product, request))
            if verdict in ("refund_due", "parked", "amount_mismatch"):
                self.shop.owed.append((product, request["idempotency_key"]))

    async def settle(self) -> None:
        if self.shop.owed and self.chance(0.9):
            product, key = self.random.choice(self.shop.owed)
        elif self.shop.events:
            product, request = self.random.choice(self.shop.events)
            key = request["idempotency_key"]
        else:
            return
        await self.call("settle", product, {"idempotency_key": key})

    async def release(self) -> None:
        if self.shop.holds:
            held = self._hold()
            await self.call("release", held.product, {"hold_id": held.id})

    async def product(self) -> None:
        product = self.random.choice(self.shop.products)
        call = await self.call("product", product, {"product_id": product})
        if call.status == 200:
            self.shop.available[product] = call.answer["available_stock"]

    async def read_hold(self) -> None:
        if self.shop.holds:
            held = self.random.choice(self.shop.holds)
            await self.call("read_hold", held.product, {"hold_id": held.id})

    async def read_order(self) -> None:
        if self.shop.holds and self.chance(0.2):
            held = self._hold()
            await self.call("read_order", held.product, {"order_id": held.order_id})
        elif self.shop.orders:
            placed = self.random.choice(self.shop.orders)
            await self.call("read_order", placed.product, {"order_id": placed.id})


class Operator(Person):
    """Changes limits and windows while all buy, and keeps stock scarce without letting it run out for good."""

    PAUSE = 0.12   # seconds, at most, between two changes

    async def run(self, _: int) -> None:
        while not self.shop.is_over:
            product = self.random.choice(self.shop.products)
            if not self.shop.is_settling:
                await self.random.choices((self.limit, self.window, self.restock), (4, 4, 7))[0](product)
            await asyncio.sleep(self.random.uniform(0, self.PAUSE))

    async def limit(self, product: int) -> None:
        name = self.random.choice(("max_quantity_per_hold", "max_per_customer", "max_per_customer"))
        value = None if self.chance(0.25) else self.random.randint(1, 5)
        await self.call("change", product, {"product_id": product, name: value})

    async def window(self, product: int) -> None:
        """Mostly open."""
        windows = {(None, None): 7, (None, after(self.random.uniform(0.1, 1.5))): 3,
                   (after(self.random.uniform(0.1, 1)), None): 2}
        starts, ends = self.random.choices(list(windows), list(windows.values()))[0]
        await self.call("change", product, {"product_id": product, "starts_at": starts, "ends_at": ends})

    async def restock(self, product: int) -> None:
        is_scarce = self.shop.available.get(product, 0) < 6
        delta = self.random.randint(2, 12) if is_scarce or self.chance(0.3) else -self.random.randint(1, 8)
        key = self.new_key("r")
        for _ in range(2 if self.chance(0.15) else 1):
            await self.call("restock", product, {"product_id": product, "delta": delta}, key)
