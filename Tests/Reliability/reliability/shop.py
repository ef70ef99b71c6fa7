"""Buyers, a payment provider and an operator. They do all that is allowed, and much that clients do wrong."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness.services import TIME_TO_LIVE

from .client import Client
from .history import Call, Outcome

CURRENCY = "USD"
REPEATED = 0.7  # of the calls without an answer
EVERYWHERE = 0.15  # of the payment events, and of some other calls: sent to all servers at once


@dataclass(frozen=True)
class Habits:
    """How often buyers do what."""

    calls: dict[str, int]     # weights
    payments: dict[str, int]  # weights
    keyed: float              # of holds and orders those with an Idempotency-Key
    known_key: float          # of holds those under a key that was used before
    quantities: tuple[int, ...]
    remembered: int           # holds that are used
    recent: float             # at the mean, how many younger holds there are than the one that is used
    # Paid orders count against a customer's limit for ever, so new customers come after so many seconds. None: each
    # request names a customer of its own, so the checker knows which request made a hold.
    customers_come_every: float | None = None
    customers: int = 10


# For the checker of histories: each request names its own customer.
CROSSED = Habits(
    calls={"hold": 26, "order": 18, "pay": 18, "release": 6, "product": 20, "products": 2, "read_hold": 5, "read_order": 5},
    payments={"now": 58, "early": 12, "late": 25, "again": 3, "otherwise": 2},
    keyed=0.75, known_key=0.04, quantities=(1, 1, 1, 2, 2, 3), remembered=300, recent=100)
# For the judge of --stress: a few customers with limits, and parked payment events.
LIMITED = Habits(
    calls={"hold": 30, "order": 17, "pay": 25, "release": 5, "product": 7, "read_hold": 5, "read_order": 5, "settle": 2},
    payments={"now": 40, "early": 15, "late": 25, "again": 8, "parked_again": 8, "otherwise": 4},
    keyed=0.5, known_key=0.1, quantities=(1, 1, 1, 2, 2, 3, 5), remembered=60, recent=10, customers_come_every=8)


@dataclass(frozen=True, slots=True)
class Held:
    product: int
    id: str

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
    """What all buyers know together, so that they use each other's holds, orders and keys."""

    products: list[int]
    rate: float                 # calls a second, of all clients
    habits: Habits = CROSSED
    order_ttl: float = TIME_TO_LIVE  # seconds, the longest that an order waits for its payment
    parked_ttl: float = 0.0
    too_many: int | None = None                                # units that a product never has: some ask for them
    payable: dict[int, int] = field(default_factory=dict)      # by product, units that may still be paid, if bounded
    available: dict[int, int] = field(default_factory=dict)    # by product, as last seen
    holds: deque[Held] = field(default_factory=deque)
    orders: deque[Placed] = field(default_factory=lambda: deque(maxlen=400))
    keyed: deque[tuple[dict[str, Any], str]] = field(default_factory=lambda: deque(maxlen=60))   # holds, with their keys
    keyed_orders: deque[tuple[int, str, str]] = field(default_factory=lambda: deque(maxlen=60))  # product, hold, key
    events: deque[tuple[int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=100))
    parked: deque[tuple[float, int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=200))
    owed: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=50))               # product, key of an event
    is_over: bool = False
    is_settling: bool = False   # no more holds and orders

    def __post_init__(self) -> None:
        self.holds = deque(maxlen=self.habits.remembered)


def after(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="milliseconds")


class Person:
    """Makes calls, each on a random server."""

    def __init__(self, client: Client, generator: random.Random) -> None:
        self.client, self.random = client, generator
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

    async def until_told(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> list[Call]:
        """Repeats a call with an unknown outcome under the same key, as clients are advised to."""
        calls = [await self.call(operation, product, request, key)]
        while calls[-1].outcome is Outcome.UNKNOWN and len(calls) < 4 and self.chance(REPEATED):
            await asyncio.sleep(self.random.uniform(0.05, 0.6))
            calls.append(await self.call(operation, product, request, key))
        return calls

    async def told(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> list[Call]:
        """Sometimes by all servers."""
        ask = self.everywhere if key and self.chance(EVERYWHERE) else self.until_told
        return await ask(operation, product, request, key)


class Buyer(Person):
    """Plays a buyer and the payment provider in turn."""

    def __init__(self, client: Client, shop: Shop, generator: random.Random) -> None:
        super().__init__(client, generator)
        self.shop, self.habits = shop, shop.habits

    async def run(self, clients: int) -> None:
        pause = clients / self.shop.rate
        await asyncio.sleep(self.random.random() * pause)
        while not self.shop.is_over:
            began = time.monotonic()
            name = self._one_of(self.habits.calls)
            if self.shop.is_settling and name in ("hold", "order"):
                name = "product"
            action: Callable[[], Awaitable[None]] = getattr(self, name)
            await action()
            await asyncio.sleep(max(0.0, pause * self.random.uniform(0.5, 1.5) - (time.monotonic() - began)))

    def _one_of(self, weights: dict[str, int]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def _recent(self, things: deque[Any], mean: float) -> Any:
        """Mostly one of the last, as they do not last long."""
        return things[-1 - min(int(self.random.expovariate(1 / mean)), len(things) - 1)]

    def _customer(self) -> str:
        if self.habits.customers_come_every is None:
            return self.new_key("customer")
        generation = int(time.monotonic() / self.habits.customers_come_every)
        return f"customer-{generation}-{self.random.randrange(self.habits.customers)}"

    async def hold(self) -> None:
        product = self.random.choice(self.shop.products)
        request: dict[str, Any] = {"product_id": product, "quantity": self.random.choice(self.habits.quantities)}
        if self.shop.too_many and self.chance(0.03):
            request["quantity"] = self.shop.too_many
        if self.chance(0.9):
            request["customer_id"] = self._customer()
        key = self.new_key("h") if self.chance(self.habits.keyed) else None
        if self.shop.keyed and self.chance(self.habits.known_key):
            # A key that was used: for the same request, for another, or by another customer.
            request, key = self.random.choice(self.shop.keyed)
            if self.chance(0.3):
                request = request | {"quantity": request["quantity"] % 3 + 1}
            elif self.habits.customers_come_every and self.chance(0.4):
                request = request | {"customer_id": self._customer()}
            product = request["product_id"]
        for call in await self.told("hold", product, request, key):
            if call.status == 201:
                self.shop.holds.append(Held(product, call.answer["hold_id"]))
                if key:
                    self.shop.keyed.append((request, key))
            elif call.problem == "insufficient-stock":
                self.shop.available[product] = call.answer["available_stock"]

    async def order(self) -> None:
        if not self.shop.holds:
            return
        held = self._recent(self.shop.holds, self.habits.recent)
        product, id = held.product, held.id
        key = self.new_key("o") if self.chance(self.habits.keyed) else None
        if self.shop.keyed_orders and self.chance(0.06):
            product, id, key = self.random.choice(self.shop.keyed_orders)
            others = [other for other in self.shop.holds if other.product == product]
            if others and self.habits.customers_come_every and self.chance(0.4):
                id = self.random.choice(others).id
        for call in await self.told("order", product, {"hold_id": id}, key):
            if call.status == 201:
                self.shop.orders.append(Placed(product, call.answer["order_id"], call.answer["amount"], time.monotonic()))
                if key:
                    self.shop.keyed_orders.append((product, id, key))

    async def release(self) -> None:
        if self.shop.holds:
            held = self._recent(self.shop.holds, self.habits.recent)
            await self.call("release", held.product, {"hold_id": held.id})

    async def product(self) -> None:
        product = self.random.choice(self.shop.products)
        call = await self.call("product", product, {"product_id": product})
        if call.status == 200:
            self.shop.available[product] = call.answer["available_stock"]

    async def products(self) -> None:
        await self.call("products", 0, {})

    async def read_hold(self) -> None:
        if self.shop.holds:
            held = self.random.choice(self.shop.holds)
            await self.call("read_hold", held.product, {"hold_id": held.id})

    async def read_order(self) -> None:
        # The checker of histories takes a 404 for a lost order, so its buyers read only acknowledged orders.
        if self.habits.customers_come_every and self.shop.holds and self.chance(0.2):
            held = self._recent(self.shop.holds, self.habits.recent)
            await self.call("read_order", held.product, {"order_id": held.order_id})
        elif self.shop.orders:
            placed = self.random.choice(self.shop.orders)
            await self.call("read_order", placed.product, {"order_id": placed.id})

    # The payment provider

    async def pay(self) -> None:
        action: Callable[[], Awaitable[None]] = getattr(self, f"_pay_{self._one_of(self.habits.payments)}")
        await action()

    async def _pay_now(self) -> None:
        if self.shop.orders:
            await self._pay(self._recent(self.shop.orders, 10), 0.65)

    async def _pay_late(self) -> None:
        """After the order has expired or was cancelled."""
        now = time.monotonic()
        over = [placed for placed in self.shop.orders if now - placed.at > self.shop.order_ttl]
        if over:
            await self._pay(self.random.choice(over[-40:]), 0.85)

    async def _pay(self, placed: Placed, successes: float) -> None:
        request: dict[str, Any] = {"idempotency_key": self.new_key("p"), "order_id": placed.id,
                                   "status": self._status(placed.product, successes)}
        if self.chance(0.4):
            request |= {"amount": placed.amount + self.chance(0.1), "currency": "EUR" if self.chance(0.05) else CURRENCY}
        await self._deliver(placed.product, request)

    def _status(self, product: int, successes: float) -> str:
        """Paid units never come back, so only a part of a scarce product may be paid for."""
        if not self.chance(successes) or self.shop.payable.get(product, 1) <= 0:
            return "failed"
        if product in self.shop.payable:
            self.shop.payable[product] -= max(self.habits.quantities)
        return "success"

    async def _pay_early(self) -> None:
        """Before its order, which may never come."""
        if self.shop.holds:
            held = self._recent(self.shop.holds, self.habits.recent)
            await self._deliver(held.product, {"idempotency_key": self.new_key("e"), "order_id": held.order_id,
                                               "status": self._status(held.product, 0.8)})

    async def _pay_again(self) -> None:
        if self.shop.events:
            await self._deliver(*self.random.choice(self.shop.events))

    async def _pay_parked_again(self) -> None:
        """About when its time to be parked ends."""
        now = time.monotonic()
        due = [(product, request) for at, product, request in self.shop.parked
               if -0.5 < now - at - self.shop.parked_ttl < 2.5]
        if due:
            await self._deliver(*self.random.choice(due))

    async def _pay_otherwise(self) -> None:
        """Another event under the same key."""
        if self.shop.events:
            product, request = self.random.choice(self.shop.events)
            other = "failed" if request["status"] == "success" else "success"
            await self.call("pay", product, request | {"status": other})

    async def _deliver(self, product: int, request: dict[str, Any]) -> None:
        ask = self.everywhere if self.chance(EVERYWHERE) else self.until_told
        calls = await ask("pay", product, request)
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


class Operator(Person):
    """Changes limits and windows during the sale, and keeps stock scarce."""

    PAUSE = 0.12   # seconds, at most, between two changes

    def __init__(self, client: Client, shop: Shop, generator: random.Random) -> None:
        super().__init__(client, generator)
        self.shop = shop

    async def run(self) -> None:
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
