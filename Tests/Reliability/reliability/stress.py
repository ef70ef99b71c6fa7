"""`--stress`: three servers on one database under random calls, changes of limits and windows, late payments and locks.

Meanwhile other sessions keep rows and tables locked, and end the servers' backends.
"""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.processes import HarnessError
from harness.services import sql

from .checker.conditions import EVERY_ROW, Lock
from .processes import beside
from .scene import staged
from .shop import Shop
from .trial import Trial, repeat

# Each server has other times to live, so that jobs become due before workers wake up.
TTLS = ((1.0, 1.0), (1.5, 2.0), (2.0, 3.0))    # of holds and of orders
PARKED_TTL = 4.0
# The owner of the tables has to allow so short a retention.
PREPARATION = "update minimum_retention set parked_event = '1 second'"
CLIENTS = 40
RATE = 500                     # calls a second, of all clients
PRODUCTS = 8
UNDISTURBED = 2                # of these: no row of theirs is locked
STOCK = 25
LOCKERS = 4
OPERATORS = 3                  # some of them wait for a locked row
CUSTOMERS_COME_EVERY = 8       # seconds
# In which all holds and orders must end, and parked payments become refund_due.
SETTLES_WITHIN = 12.0

LOCKED_FOR = (0.1, 1.4)    # seconds; servers wait for 1.5 at most
PAUSE = (0.05, 0.5)
TABLE_LOCKED_FOR = (0.05, 0.5)
TABLE_PAUSE = (1.0, 6.0)
KILLS_EVERY = (0.2, 0.8)
NOW = "select extract(epoch from clock_timestamp())"
# The column of a row's id, and the order in which servers lock rows, so that there is no deadlock.
LOCKED_BY = {"products": ("id", "id"), "holds": ("id", "expires_at, id"), "orders": ("id", "payment_due_at, id"),
             "payment_events": ("idempotency_key", "idempotency_key")}


async def lock_rows(url: str, products: list[int], shop: Shop, locks: list[Lock], rng: random.Random) -> None:
    """Locks up to three rows of one kind for a while, again and again."""
    while not shop.is_settling:
        product = rng.choice(products)
        table = rng.choices(list(LOCKED_BY), (8, 4, 3, 1))[0]
        known = {
            "products": [str(product)],
            "holds": [id for of_product, id in shop.holds if of_product == product],
            "orders": [id for of_product, id, _, _ in shop.orders if of_product == product],
            "payment_events": [request["idempotency_key"] for event, request in shop.events if event == product],
        }[table][-8:]
        ids = tuple(rng.sample(known, min(len(known), rng.randint(1, 3))))
        if ids:
            column, order = LOCKED_BY[table]
            of_product = "" if table == "products" else f"product_id = {product} and "
            names = ", ".join(f"'{id.removeprefix('hold_').removeprefix('order_')}'" for id in ids)
            lock = f"select 'locked' from {table} where {of_product}{column} in ({names}) order by {order} for update"
            await keep_locked(url, lock, 1000, rng.uniform(*LOCKED_FOR), locks, product, table, ids)
        await asyncio.sleep(rng.uniform(*PAUSE))


async def lock_tables(url: str, shop: Shop, locks: list[Lock], rng: random.Random) -> None:
    """Locks a whole table for a moment, as a change of the schema does, again and again."""
    while not shop.is_settling:
        await asyncio.sleep(rng.uniform(*TABLE_PAUSE))
        table = rng.choice(list(LOCKED_BY))
        lock = f"lock table {table} in access exclusive mode; select 'locked'"
        await keep_locked(url, lock, 200, rng.uniform(*TABLE_LOCKED_FOR), locks, None, table, (EVERY_ROW,))


async def keep_locked(
    url: str, statement: str, timeout_ms: int, seconds: float, locks: list[Lock], product: int | None, table: str,
    ids: tuple[str, ...],
) -> None:
    """Keeps rows locked, and records it, if the session gets the lock in time."""
    try:
        rows = await asyncio.to_thread(sql, url, f"""
            set lock_timeout = {timeout_ms}; begin; {NOW}; {statement}; select pg_sleep({seconds}); {NOW}; commit""")
    except HarnessError:
        return
    asked, *rest = rows.split()
    if "locked" in rest:
        locks.append(Lock(product, table, ids, float(asked), float(rest[-1])))


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


async def stress(
    work: Path, seed: int, seconds: float, ends_backends: bool = False, sabotage: Sequence[str] = (),
    again_and_again: str = "",
) -> list[str]:
    """Returns the violations.

    - sabotage: statements that are run before the load, as of a planted bug, each by itself.
    - again_and_again: the same, all along.
    """
    def chance(name: object) -> random.Random:
        return random.Random(f"{seed} {name}")

    settings = {"PARKED_EVENT_TTL_SECONDS": str(PARKED_TTL)}
    async with staged(work, TTLS, settings, has_proxies=False, preparation=PREPARATION) as scene:
        products = scene.add_products(PRODUCTS, STOCK)
        for statement in sabotage:
            scene.sql(statement)
        conditions, url = scene.conditions, scene.database.url()
        conditions.parked_ttl, conditions.has_faults = PARKED_TTL, False
        conditions.visible_within, conditions.snapshot_takes = 2.0, 0.02
        conditions.undisturbed, locked = tuple(products[-UNDISTURBED:]), products[:-UNDISTURBED]
        shop = Shop(products, RATE, max(conditions.order_ttls), PARKED_TTL, CUSTOMERS_COME_EVERY)
        trial = Trial(scene, shop)
        troubles = [lock_rows(url, locked, shop, conditions.locks, chance(f"locker {n}")) for n in range(LOCKERS)]
        troubles.append(lock_tables(url, shop, conditions.locks, chance("table locker")))
        if ends_backends:
            troubles.append(end_backends(url, shop, conditions.kills, chance("killer")))
        async with trial.run(CLIENTS, seed, operators=OPERATORS, settles_within=SETTLES_WITHIN):
            tasks = asyncio.gather(*troubles)
            async with beside(repeat(url, again_and_again)):
                await asyncio.sleep(seconds)
            shop.is_settling = True
            await tasks
    verdicts = Counter(call.answer["verdict"] for call in trial.history.calls if "verdict" in call.answer)
    print(f"verdicts: {', '.join(f'{verdict} {count:,}' for verdict, count in sorted(verdicts.items()))}")
    print(f"rows locked {len(conditions.locks)} times, {len(conditions.kills)} backends ended; for "
          f"{sum(until - since for since, until in conditions.stalls):.1f} s the machine was too busy")
    return trial.violations


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    return await stress(work, options.seed, options.minutes * 60, options.backends)
