"""The trouble that the harness makes: rows and tables that it keeps locked, backends that it ends."""

import asyncio
import random

from ..shop import Shop
from .conditions import EVERY_ROW, Lock
from .session import Session

LOCKED_FOR = (0.1, 1.4)    # seconds; servers wait for 1.5 at most
PAUSE = (0.05, 0.5)
TABLE_LOCKED_FOR = (0.05, 0.5)
TABLE_PAUSE = (1.0, 6.0)
KILLS_EVERY = (0.2, 0.8)


class Locker:
    """Locks rows of one kind for a while, again and again."""

    def __init__(self, url: str, products: list[int], shop: Shop, locks: list[Lock], generator: random.Random) -> None:
        self._url, self._products, self._shop, self._locks, self._random = url, products, shop, locks, generator

    async def run(self) -> None:
        async with Session(self._url) as session:
            await session.ask("set lock_timeout = '1s'")
            while not self._shop.is_settling:
                await self._lock(session, *self._choose())
                await asyncio.sleep(self._random.uniform(*PAUSE))

    def _choose(self) -> tuple[int, str, tuple[str, ...]]:
        product = self._random.choice(self._products)
        table = self._random.choices(("products", "holds", "orders", "payment_events"), (5, 4, 3, 1))[0]
        if table == "products":
            ids = [str(product)]
        elif table == "holds":
            ids = [held.id for held in self._shop.holds if held.product == product][-8:]
        elif table == "orders":
            ids = [placed.id for placed in self._shop.orders if placed.product == product][-8:]
        else:
            ids = [request["idempotency_key"] for event, request in self._shop.events if event == product][-8:]
        return product, table, tuple(self._random.sample(ids, min(len(ids), self._random.randint(1, 3))))

    async def _lock(self, session: Session, product: int, table: str, ids: tuple[str, ...]) -> None:
        if not ids:
            return
        column = "idempotency_key" if table == "payment_events" else "id"
        order = {"holds": "expires_at, id", "orders": "payment_due_at, id"}.get(table, column)
        of_product = "" if table == "products" else f"product_id = {product} and "
        names = ", ".join(f"'{id.removeprefix('hold_').removeprefix('order_')}'" for id in ids)
        # In the order in which servers lock them, so that there is no deadlock.
        await keep_locked(
            session, f"select 'locked' from {table} where {of_product}{column} in ({names}) order by {order} for update",
            self._random.uniform(*LOCKED_FOR), product, table, ids, self._locks)


class TableLocker:
    """Locks a whole table for a moment, as a change of the schema does."""

    def __init__(self, url: str, shop: Shop, locks: list[Lock], generator: random.Random) -> None:
        self._url, self._shop, self._locks, self._random = url, shop, locks, generator

    async def run(self) -> None:
        async with Session(self._url) as session:
            await session.ask("set lock_timeout = '200ms'")
            while not self._shop.is_settling:
                await asyncio.sleep(self._random.uniform(*TABLE_PAUSE))
                table = self._random.choice(("products", "holds", "orders", "payment_events"))
                await keep_locked(
                    session, f"lock table {table} in access exclusive mode; select 'locked' from pg_stat_activity limit 1",
                    self._random.uniform(*TABLE_LOCKED_FOR), None, table, (EVERY_ROW,), self._locks)


async def keep_locked(
    session: Session, lock: str, seconds: float, product: int | None, table: str, ids: tuple[str, ...], locks: list[Lock]
) -> None:
    """Adds the lock to `locks` if it was had."""
    asked, *rows = await session.ask(f"begin; select extract(epoch from clock_timestamp()); {lock}")
    if not rows:
        await session.ask("rollback")
        return
    await asyncio.sleep(seconds)
    released = await session.ask("select extract(epoch from clock_timestamp()); commit")
    if len(released) == 1:
        locks.append(Lock(product, table, ids, float(asked), float(released[0])))


class Killer:
    """Ends backends of servers all the time."""

    def __init__(self, url: str, shop: Shop, kills: list[float], generator: random.Random) -> None:
        self._url, self._shop, self._kills, self._random = url, shop, kills, generator

    async def run(self) -> None:
        async with Session(self._url) as session:
            while not self._shop.is_settling:
                rows = await session.ask(f"""
                    select extract(epoch from clock_timestamp()), pg_terminate_backend(pid)
                    from (
                        select pid from pg_stat_activity
                        where application_name = 'flashsale' and backend_type = 'client backend'
                        order by (state = 'active') desc, random() limit {self._random.randint(1, 3)}) chosen""")
                self._kills += [float(row.split("|")[0]) for row in rows]
                await asyncio.sleep(self._random.uniform(*KILLS_EVERY))
