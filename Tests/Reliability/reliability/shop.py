"""Buyers, a payment provider and an operator. They do all that is allowed, and much that clients do wrong."""

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from harness.services import TIME_TO_LIVE

from .client import Client
from .history import Call, order_of

T = TypeVar("T")

CURRENCY = "USD"
REPEATED = 0.7     # of the calls without a response
EVERYWHERE = 0.15  # of payment events and of calls with a key: sent to all servers at once
KEYED = 0.6        # of holds and orders: with an Idempotency-Key
KNOWN_KEY = 0.08   # of holds and orders: under a key that was used before
QUANTITIES = (1, 1, 1, 1, 2, 2, 2, 3, 5)
CALLS = {"hold": 28, "order": 18, "pay": 22, "release": 5, "product": 14, "products": 2, "read_hold": 5,
         "read_order": 5, "settle": 2, "refund": 2}
PAYMENTS = {"now": 48, "early": 14, "late": 25, "again": 5, "parked_again": 6, "otherwise": 3}


def memory(count: int) -> Any:
    return field(default_factory=lambda: deque(maxlen=count))


@dataclass(slots=True)
class Shop:
    """What all buyers know together. They use each other's holds, orders and keys."""

    products: list[int]
    rate: float                      # calls a second, of all clients
    order_ttl: float = TIME_TO_LIVE  # seconds, the longest that an order waits for its payment
    parked_ttl: float = TIME_TO_LIVE
    # Paid orders count against a customer's limit for ever, so new customers come after so many seconds. None: each
    # request names a customer of its own, so the checker knows which request made a hold.
    customers_come_every: float | None = None
    too_many: int | None = None                              # more units than a product has: some requests ask for them
    payable: dict[int, int] = field(default_factory=dict)    # by product, units that may still be paid, if bounded
    available: dict[int, int] = field(default_factory=dict)  # by product, as last seen
    holds: deque[tuple[int, str]] = memory(1000)             # product and id
    orders: deque[tuple[int, str, int, float]] = memory(400)  # product, id, amount, and when it was placed
    keyed: deque[tuple[dict[str, Any], str]] = memory(60)    # requests for holds, with their keys
    keyed_orders: deque[tuple[int, str, str]] = memory(60)   # product, hold, key
    events: deque[tuple[int, dict[str, Any]]] = memory(100)
    parked: deque[tuple[float, int, dict[str, Any]]] = memory(200)
    owed: deque[tuple[int, str]] = memory(50)                # product, key of an event
    paid: deque[tuple[int, str]] = memory(50)                # product, order
    has_admin: bool = True      # whether servers know the harness's token, and no proxy is in the way
    is_over: bool = False
    is_idle: bool = False       # no calls for a while
    is_settling: bool = False   # no more holds and orders


class Person:
    """Makes calls, each on a random server."""

    def __init__(self, client: Client, shop: Shop, generator: random.Random) -> None:
        self.client, self.shop, self.random = client, shop, generator
        self._count = 0

    async def run(self, clients: int) -> None:
        """Until the shop is over. All of them make the shop's rate of calls together."""
        raise NotImplementedError

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def one_of(self, weights: dict[T, int]) -> T:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def new_key(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self.client.number}-{self._count}"

    async def call(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> Call:
        return await self.client.call(operation, product, request, self.random.randrange(len(self.client.ports)), key)

    async def told(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> list[Call]:
        """Sometimes sends the request to all servers at once. Else repeats a call of unknown outcome under its key."""
        if (key or operation == "pay") and self.chance(EVERYWHERE):
            return await asyncio.gather(*(self.client.call(operation, product, request, server, key)
                                          for server in range(len(self.client.ports))))
        calls = [await self.call(operation, product, request, key)]
        while calls[-1].is_unknown and len(calls) < 4 and self.chance(REPEATED):
            await asyncio.sleep(self.random.uniform(0.05, 0.6))
            calls.append(await self.call(operation, product, request, key))
        return calls


class Buyer(Person):
    """Plays a buyer and the payment provider in turn."""

    async def run(self, clients: int) -> None:
        pause = clients / self.shop.rate
        await asyncio.sleep(self.random.random() * pause)
        while not self.shop.is_over:
            began = time.monotonic()
            name = self.one_of(CALLS)
            if self.shop.is_idle:
                await asyncio.sleep(0.05)
                continue
            if self.shop.is_settling and name in ("hold", "order"):
                name = "product"
            await getattr(self, name)()
            await asyncio.sleep(max(0.0, pause * self.random.uniform(0.5, 1.5) - (time.monotonic() - began)))

    def _recent(self, things: deque[T], mean: float | None = None) -> T:
        """Mostly one of the last. Of shared customers' holds a younger one, since those last for a second only."""
        mean = mean or (60 if self.shop.customers_come_every is None else 10)
        return things[-1 - min(int(self.random.expovariate(1 / mean)), len(things) - 1)]

    def _customer(self) -> str:
        if self.shop.customers_come_every is None:
            return self.new_key("customer")
        return f"customer-{int(time.monotonic() / self.shop.customers_come_every)}-{self.random.randrange(10)}"

    async def hold(self) -> None:
        product = self.random.choice(self.shop.products)
        request: dict[str, Any] = {"product_id": product, "quantity": self.random.choice(QUANTITIES)}
        if self.shop.too_many and self.chance(0.03):
            request["quantity"] = self.shop.too_many
        if self.chance(0.9):
            request["customer_id"] = self._customer()
        key = self.new_key("h") if self.chance(KEYED) else None
        if self.shop.keyed and self.chance(KNOWN_KEY):
            # The key comes with the same request, with another one, or from another customer.
            request, key = self.random.choice(self.shop.keyed)
            if self.chance(0.3):
                request = request | {"quantity": request["quantity"] % 3 + 1}
            elif self.shop.customers_come_every and self.chance(0.4):
                request = request | {"customer_id": self._customer()}
            product = request["product_id"]
        for call in await self.told("hold", product, request, key):
            if call.status == 201:
                self.shop.holds.append((product, call.answer["hold_id"]))
                if key:
                    self.shop.keyed.append((request, key))
            elif call.problem == "insufficient-stock":
                self.shop.available[product] = call.answer["available_stock"]

    async def order(self) -> None:
        if not self.shop.holds:
            return
        # The oldest one has usually lapsed.
        product, id = self.shop.holds[0] if self.chance(0.05) else self._recent(self.shop.holds)
        key = self.new_key("o") if self.chance(KEYED) else None
        if self.shop.keyed_orders and self.chance(KNOWN_KEY):
            product, id, key = self.random.choice(self.shop.keyed_orders)
            others = [other for of_product, other in self.shop.holds if of_product == product]
            if others and self.shop.customers_come_every and self.chance(0.4):
                id = self.random.choice(others)
        for call in await self.told("order", product, {"hold_id": id}, key):
            if call.status == 201:
                self.shop.orders.append((product, call.answer["order_id"], call.answer["amount"], time.monotonic()))
                if key:
                    self.shop.keyed_orders.append((product, id, key))

    async def release(self) -> None:
        if self.shop.holds:
            product, id = self._recent(self.shop.holds)
            await self.call("release", product, {"hold_id": id})

    async def product(self) -> None:
        product = self.random.choice(self.shop.products)
        call = await self.call("product", product, {"product_id": product})
        if call.status == 200:
            self.shop.available[product] = call.answer["available_stock"]

    async def products(self) -> None:
        await self.call("products", 0, {})

    async def read_hold(self) -> None:
        if self.shop.holds:
            product, id = self.random.choice(self.shop.holds)
            await self.call("read_hold", product, {"hold_id": id})

    async def read_order(self) -> None:
        """Sometimes an order that may not exist yet."""
        if self.shop.holds and self.chance(0.2):
            product, hold = self._recent(self.shop.holds)
            await self.call("read_order", product, {"order_id": order_of(hold)})
        elif self.shop.orders:
            product, id, *_ = self.random.choice(self.shop.orders)
            await self.call("read_order", product, {"order_id": id})

    # The payment provider

    async def pay(self) -> None:
        """Now, before the order, late, again, about when a parked event's time ends, or another event under its key."""
        shop, now, kind = self.shop, time.monotonic(), self.one_of(PAYMENTS)
        late = [order for order in shop.orders if now - order[3] > shop.order_ttl][-40:]
        parked = [(product, event) for at, product, event in shop.parked if -0.5 < now - at - shop.parked_ttl < 2.5]
        if kind == "now" and shop.orders:
            await self._pay(*self._recent(shop.orders, 10)[:3], successes=0.65)
        elif kind == "late" and late:
            await self._pay(*self.random.choice(late)[:3], successes=0.85)
        elif kind == "early" and shop.holds:
            product, hold = self._recent(shop.holds)
            await self._pay(product, order_of(hold), None, successes=0.8)
        elif kind == "parked_again" and parked:
            await self._deliver(*self.random.choice(parked))
        elif kind == "again" and shop.events:
            await self._deliver(*self.random.choice(shop.events))
        elif kind == "otherwise" and shop.events:
            product, event = self.random.choice(shop.events)
            other = "failed" if event["status"] == "success" else "success"
            await self.call("pay", product, event | {"status": other})

    async def _pay(self, product: int, order: str, amount: int | None, successes: float) -> None:
        """A new event. Paid units never come back, so only a part of a scarce product may be paid for."""
        status = "success" if self.chance(successes) and self.shop.payable.get(product, 1) > 0 else "failed"
        if status == "success" and product in self.shop.payable:
            self.shop.payable[product] -= max(QUANTITIES)
        event: dict[str, Any] = {"idempotency_key": self.new_key("p"), "order_id": order, "status": status}
        if amount is not None and self.chance(0.4):
            event |= {"amount": amount + self.chance(0.1), "currency": "EUR" if self.chance(0.05) else CURRENCY}
        await self._deliver(product, event)

    async def _deliver(self, product: int, event: dict[str, Any]) -> None:
        calls = await self.told("pay", product, event)
        self.shop.events.append((product, event))
        for call in calls:
            verdict = call.answer.get("verdict")
            if verdict == "parked" and not call.is_replay:
                self.shop.parked.append((time.monotonic(), product, event))
            if verdict in ("refund_due", "parked", "amount_mismatch"):
                self.shop.owed.append((product, event["idempotency_key"]))
            if call.answer.get("order_status") == "paid":
                self.shop.paid.append((product, event["order_id"]))

    async def settle(self) -> None:
        """Mostly an event whose money is owed."""
        others = [(product, event["idempotency_key"]) for product, event in self.shop.events]
        events = self.shop.owed if self.shop.owed and self.chance(0.9) else others
        if self.shop.has_admin and events:
            product, key = self.random.choice(events)
            await self.call("settle", product, {"idempotency_key": key})

    async def refund(self) -> None:
        """A part or all of a paid order, mostly; some are refunded again, with and without their units."""
        orders = self.shop.paid if self.chance(0.9) else self.shop.orders
        if self.shop.has_admin and orders:
            product, id, *_ = self.random.choice(orders)
            request = {"order_id": id, "restock": self.chance(0.5)}
            if self.chance(0.4):
                request["amount"] = self.random.randint(1, 2000)
            key = self.new_key("f")
            for _ in range(2 if self.chance(0.15) else 1):
                await self.told("refund", product, request, key)


class Operator(Person):
    """Changes limits and windows during the sale, and keeps stock scarce."""

    PAUSE = 0.08   # seconds, at most, between two changes

    async def run(self, clients: int) -> None:
        while not self.shop.is_over:
            product = self.random.choice(self.shop.products)
            if not self.shop.is_settling:
                await self.random.choices((self.limit, self.window, self.restock), (6, 5, 6))[0](product)
            await asyncio.sleep(self.random.uniform(0, self.PAUSE))

    async def limit(self, product: int) -> None:
        name = self.random.choice(("max_quantity_per_hold", "max_per_customer", "max_per_customer"))
        value = None if self.chance(0.25) else self.random.randint(1, 5)
        await self.call("change", product, {"product_id": product, name: value})

    async def window(self, product: int) -> None:
        """The sale is open, ends soon, or starts soon."""
        within = partial(self.random.uniform, 0.1)
        starts, ends = self.one_of({(None, None): 7, (None, after(within(1.5))): 6, (after(within(1)), None): 2})
        await self.call("change", product, {"product_id": product, "starts_at": starts, "ends_at": ends})

    async def restock(self, product: int) -> None:
        is_scarce = self.shop.available.get(product, 0) < 6
        delta = self.random.randint(2, 12) if is_scarce or self.chance(0.3) else -self.random.randint(1, 8)
        key = self.new_key("r")
        for _ in range(2 if self.chance(0.15) else 1):
            await self.call("restock", product, {"product_id": product, "delta": delta}, key)


def after(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="milliseconds")
