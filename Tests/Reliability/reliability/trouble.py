"""Sessions that keep rows and tables locked, and that end the servers' backends."""

import asyncio
import random

from harness.processes import HarnessError
from harness.services import sql

from .checker.conditions import EVERY_ROW, Lock
from .shop import Shop

LOCKED_FOR = (0.1, 1.4)    # seconds; servers wait for 1.5 at most
PAUSE = (0.05, 0.5)
TABLE_LOCKED_FOR = (0.05, 0.5)
TABLE_PAUSE = (1.0, 6.0)
KILLS_EVERY = (0.2, 0.8)
NOW = "select extract(epoch from clock_timestamp())"


async def lock_rows(url: str, products: list[int], shop: Shop, locks: list[Lock], rng: random.Random) -> None:
    """Locks rows of one kind for a while, again and again."""
    while not shop.is_settling:
        product, table, ids = choose(products, shop, rng)
        if ids:
            column = "idempotency_key" if table == "payment_events" else "id"
            of_product = "" if table == "products" else f"product_id = {product} and "
            names = ", ".join(f"'{id.removeprefix('hold_').removeprefix('order_')}'" for id in ids)
            # In the order in which servers lock them, so that there is no deadlock.
            order = {"holds": "expires_at, id", "orders": "payment_due_at, id"}.get(table, column)
            lock = f"select 'locked' from {table} where {of_product}{column} in ({names}) order by {order} for update"
            if times := await keep_locked(url, lock, 1000, rng.uniform(*LOCKED_FOR)):
                locks.append(Lock(product, table, ids, *times))
        await asyncio.sleep(rng.uniform(*PAUSE))


def choose(products: list[int], shop: Shop, rng: random.Random) -> tuple[int, str, tuple[str, ...]]:
    """Up to three rows of a product in a table, by their ids."""
    product = rng.choice(products)
    table = rng.choices(("products", "holds", "orders", "payment_events"), (8, 4, 3, 1))[0]
    ids = {
        "products": [str(product)],
        "holds": [id for of_product, id in shop.holds if of_product == product],
        "orders": [id for of_product, id, _, _ in shop.orders if of_product == product],
        "payment_events": [request["idempotency_key"] for event, request in shop.events if event == product],
    }[table][-8:]
    return product, table, tuple(rng.sample(ids, min(len(ids), rng.randint(1, 3))))


async def lock_tables(url: str, shop: Shop, locks: list[Lock], rng: random.Random) -> None:
    """Locks a whole table for a moment, as a change of the schema does, again and again."""
    while not shop.is_settling:
        await asyncio.sleep(rng.uniform(*TABLE_PAUSE))
        table = rng.choice(("products", "holds", "orders", "payment_events"))
        lock = f"lock table {table} in access exclusive mode; select 'locked'"
        if times := await keep_locked(url, lock, 200, rng.uniform(*TABLE_LOCKED_FOR)):
            locks.append(Lock(None, table, (EVERY_ROW,), *times))


async def keep_locked(url: str, statement: str, timeout_ms: int, seconds: float) -> tuple[float, float] | None:
    """Returns when the session asked for the lock, and a time at which it still had it; None if it did not get the lock."""
    try:
        rows = await asyncio.to_thread(sql, url, f"""
            set lock_timeout = {timeout_ms}; begin; {NOW}; {statement}; select pg_sleep({seconds}); {NOW}; commit""")
    except HarnessError:
        return None
    asked, *rest = rows.split()
    return (float(asked), float(rest[-1])) if "locked" in rest else None


async def end_backends(url: str, shop: Shop, kills: list[float], rng: random.Random) -> None:
    """Ends backends of servers all the time."""
    while not shop.is_settling:
        rows = await asyncio.to_thread(sql, url, f"""
            select extract(epoch from clock_timestamp()), pg_terminate_backend(pid)
            from (
                select pid from pg_stat_activity
                where application_name = 'flashsale' and backend_type = 'client backend'
                order by (state = 'active') desc, random() limit {rng.randint(1, 3)}) chosen""")
        kills += [float(row.split("|")[0]) for row in rows.splitlines()]
        await asyncio.sleep(rng.uniform(*KILLS_EVERY))
