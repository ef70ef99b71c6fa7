"""`--stress`: three servers on one database under random calls, changes of limits and windows, late payments and locks."""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .client import Client
from .mode import Mode
from .scene import staged
from .shop import Operator, Shop
from .trial import Trial, repeat
from .trouble import end_backends, lock_rows, lock_tables

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
        conditions, url = scene.conditions, scene.database.url
        conditions.parked_ttl, conditions.has_faults = PARKED_TTL, False
        conditions.visible_within, conditions.snapshot_takes = 2.0, 0.02
        conditions.undisturbed, locked = tuple(products[-UNDISTURBED:]), products[:-UNDISTURBED]
        shop = Shop(products, RATE, max(conditions.order_ttls), PARKED_TTL, CUSTOMERS_COME_EVERY)
        trial = Trial(scene, shop, CLIENTS, seed, settles_within=SETTLES_WITHIN)
        clients = [Client(-1 - number, scene.ports, trial.history) for number in range(OPERATORS)]
        await trial.start()
        operators = [asyncio.create_task(Operator(client, shop, chance(client.number)).run()) for client in clients]
        troubles = [lock_rows(url, locked, shop, conditions.locks, chance(f"locker {number}")) for number in range(LOCKERS)]
        troubles.append(lock_tables(url, shop, conditions.locks, chance("table locker")))
        if ends_backends:
            troubles.append(end_backends(url, shop, conditions.kills, chance("killer")))
        tasks = [asyncio.create_task(trouble) for trouble in troubles]
        saboteur = asyncio.create_task(repeat(url, again_and_again))
        await asyncio.sleep(seconds)
        shop.is_settling = True
        saboteur.cancel()
        await asyncio.gather(*tasks)
        await trial.finish()
        await asyncio.gather(*operators)
        for client in clients:
            client.close()
    verdicts = Counter(call.answer["verdict"] for call in trial.history.calls if "verdict" in call.answer)
    print(f"verdicts: {', '.join(f'{verdict} {count:,}' for verdict, count in sorted(verdicts.items()))}")
    print(f"rows locked {len(conditions.locks)} times, {len(conditions.kills)} backends ended; for "
          f"{sum(until - since for since, until in conditions.stalls):.1f} s the machine was too busy")
    return trial.violations


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    return await stress(work, options.seed, options.minutes * 60, options.backends)


MODE = Mode("random calls with limits, windows, late payments and locked rows; every change is judged", run, {
    "--backends": {"action": "store_true", "help": "end backends of PostgreSQL all the time, too"}})
