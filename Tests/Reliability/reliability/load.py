"""Buyers and a payment provider, with all that clients do wrong: repeats, duplicates, crossed and late messages."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .client import Client
from .history import Call, History, Outcome

# How often each call is made, of all.
WEIGHTS = {
    "hold": 26, "order": 18, "pay": 18, "release": 6, "product": 20, "products": 2, "read_hold": 5, "read_order": 5}

# Of holds and orders those that carry an Idempotency-Key.
KEYED = 0.75
# Of the calls without an answer those that are repeated under the same key.
REPEATED = 0.7


@dataclass(frozen=True)
class Product:
    id: int
    stock: int
    price: int
    is_scarce: bool = False  # nearly sold out all the time: hardly anything of it is ever paid


@dataclass
class Market:
    """What the clients know together, so that they cross each other's ways."""

    products: list[Product]
    rate: float  # calls a second, of all clients
    holds: deque[tuple[int, str, int]] = field(default_factory=lambda: deque(maxlen=150))   # product, hold_id, quantity
    orders: deque[tuple[int, str, int]] = field(default_factory=lambda: deque(maxlen=300))  # product, order_id, amount
    scarce_units_paid: int = 0
    is_over: bool = False
    is_settling: bool = False  # no more holds and orders


class Buyer:
    """A client with its habits."""

    def __init__(self, client: Client, market: Market, clients: int, generator: random.Random) -> None:
        self.client = client
        self.market = market
        self.random = generator
        self._pause = clients / market.rate
        self._count = 0
        self._own: deque[tuple[int, str, int]] = deque(maxlen=10)

    async def run(self) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "hold": self.hold, "order": self.order, "pay": self.pay, "release": self.release, "product": self.product,
            "products": self.products, "read_hold": self.read_hold, "read_order": self.read_order}
        await asyncio.sleep(self.random.random() * self._pause)
        while not self.market.is_over:
            started = asyncio.get_running_loop().time()
            action = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if self.market.is_settling and action in ("hold", "order"):
                action = "product"
            await actions[action]()
            busy = asyncio.get_running_loop().time() - started
            await asyncio.sleep(max(0.0, self._pause * self.random.uniform(0.5, 1.5) - busy))

    # What is asked

    async def hold(self) -> None:
        product = self._product()
        quantity = self.random.choice((1, 1, 1, 2, 2, 3))
        if self.random.random() < 0.03:
            quantity = product.stock + 1  # never to be had
        self._count += 1
        request: dict[str, Any] = {"product_id": product.id, "quantity": quantity}
        if self.random.random() < 0.9:
            request["customer_id"] = f"{self.client.number}-{self._count}"
        key = f"h-{self.client.number}-{self._count}" if self.random.random() < KEYED else None
        calls = await self._repeating("hold", product.id, request, key)
        for call in calls:
            if call.status == 201:
                hold = (product.id, call.answer["hold_id"], quantity)
                self._own.append(hold)
                self.market.holds.append(hold)
        if key and self.random.random() < 0.02:
            await self._call("hold", product.id, request | {"quantity": quantity + 1}, key)
        elif key and self.random.random() < 0.03:
            await self._call("hold", product.id, request, key)

    async def order(self) -> None:
        hold = self._hold()
        if hold is None:
            return
        product, hold_id, _ = hold
        self._count += 1
        key = f"o-{self.client.number}-{self._count}" if self.random.random() < KEYED else None
        for call in await self._repeating("order", product, {"hold_id": hold_id}, key):
            if call.status == 201:
                self.market.orders.append((product, call.answer["order_id"], call.answer["amount"]))

    async def pay(self) -> None:
        amount = None
        if self.random.random() < 0.12 or not self.market.orders:
            hold = self._hold()  # before its order
            if hold is None:
                return
            product, hold_id, _ = hold
            order_id = hold_id.replace("hold_", "order_")
        else:
            # Mostly one of the last; else one that may have been paid, cancelled or expired.
            late = self.random.random() < 0.3
            product, order_id, amount = self.market.orders[
                self.random.randrange(len(self.market.orders)) if late else -1 - self.random.randrange(
                    min(len(self.market.orders), 20))]
        self._count += 1
        request: dict[str, Any] = {"idempotency_key": f"p-{self.client.number}-{self._count}", "order_id": order_id}
        request["status"] = "success" if self.random.random() < 0.65 and self._may_pay(product) else "failed"
        if amount is not None and self.random.random() < 0.4:
            wrong = self.random.random() < 0.1
            request |= {"amount": amount + wrong, "currency": "USD"}
        if self.random.random() < 0.15:
            # The provider sends it several times at once, to several servers.
            await asyncio.gather(*(self.client.call("pay", product, request, server)
                                   for server in range(len(self.client.ports))))
        await self._repeating("pay", product, request, request["idempotency_key"], header=False)
        if self.random.random() < 0.03:
            other = request | {"status": "failed" if request["status"] == "success" else "success"}
            await self._call("pay", product, other)

    async def release(self) -> None:
        if hold := self._hold():
            await self._call("release", hold[0], {"hold_id": hold[1]})

    async def product(self) -> None:
        product = self._product().id
        await self._call("product", product, {"product_id": product})

    async def products(self) -> None:
        await self._call("products", 0, {})

    async def read_hold(self) -> None:
        if hold := self._hold():
            await self._call("read_hold", hold[0], {"hold_id": hold[1]})

    async def read_order(self) -> None:
        if self.market.orders:
            product, order_id, _ = self.random.choice(self.market.orders)
            await self._call("read_order", product, {"order_id": order_id})

    # How it is asked

    async def _call(self, operation: str, product: int, request: dict[str, Any], key: str | None = None) -> Call:
        server = self.random.randrange(len(self.client.ports))
        return await self.client.call(operation, product, request, server, key)

    async def _repeating(
        self, operation: str, product: int, request: dict[str, Any], key: str | None, header: bool = True
    ) -> list[Call]:
        """Makes a call; without an answer often again under the same key, on whichever server."""
        calls = [await self._call(operation, product, request, key if header else None)]
        while (calls[-1].outcome is Outcome.UNKNOWN and key and len(calls) < 4 and not self.market.is_over
               and self.random.random() < REPEATED):
            await asyncio.sleep(self.random.uniform(0.1, 0.6))
            calls.append(await self._call(operation, product, request, key if header else None))
        return calls

    def _product(self) -> Product:
        return self.random.choice(self.market.products)

    def _hold(self) -> tuple[int, str, int] | None:
        if self._own and self.random.random() < 0.8:
            return self.random.choice(self._own)
        return self.random.choice(self.market.holds) if self.market.holds else None

    def _may_pay(self, product_id: int) -> bool:
        """What is paid never comes back: of the scarce product a part stays in circulation."""
        product = next(product for product in self.market.products if product.id == product_id)
        if not product.is_scarce:
            return True
        self.market.scarce_units_paid += 3
        return self.market.scarce_units_paid < product.stock // 2


class Load:
    """All the clients, until `stop`."""

    def __init__(self, market: Market, ports: list[int], clients: int, history: History, seed: int) -> None:
        self.market = market
        self._clients = [Client(number, ports, history) for number in range(clients)]
        self._buyers = [Buyer(client, market, clients, random.Random(f"{seed} {client.number}"))
                        for client in self._clients]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(buyer.run()) for buyer in self._buyers]

    async def stop(self) -> None:
        """Returns when every call has ended."""
        self.market.is_over = True
        await asyncio.gather(*self._tasks)
        for client in self._clients:
            client.close()
