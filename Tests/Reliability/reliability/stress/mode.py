"""Three servers on one database under random calls, changes and locks; then the judge replays the log of changes."""

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from harness.processes import HarnessError
from harness.services import sql

from ..client import Client
from ..crowd import Crowd
from ..history import History
from ..scene import Scene, staged
from ..shop import CURRENCY, LIMITED, Operator, Shop
from ..trial import HISTORY, audit, print_calls, settle, unanswered
from . import changes
from .conditions import Conditions, Lock
from .judge import judge, some_of_each_kind
from .trouble import end_backends, lock_rows, lock_tables

SUMMARY = "random calls with limits, windows, late payments and locked rows; every change and every answer is judged"

CHANGES = "changes.jsonl"
CONDITIONS = "conditions.json"
VIOLATIONS = "violations.txt"

# Each server has other times to live, so that jobs become due before workers wake up.
HOLD_TTLS = (1.0, 1.5, 2.0)    # seconds
ORDER_TTLS = (1.0, 2.0, 3.0)
PARKED_TTL = 4.0
# The owner of the tables has to allow so short a retention.
PREPARATION = """
do $$ begin
    if to_regclass('minimum_retention') is not null then
        update minimum_retention set parked_event = '1 second';
    end if;
end $$
"""
TOKEN = "a-token-for-the-harness"
CLIENTS = 40
RATE = 500                     # calls a second, of all clients
PRODUCTS = 8
UNDISTURBED = 2                # of these: no row of theirs is locked
STOCK = 25
LOCKERS = 4
OPERATORS = 3                  # some of them wait for a locked row
STALL = 0.15                   # seconds
# In which all holds and orders must end, and parked payments become refund_due.
SETTLES_WITHIN = 12.0


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--backends", action="store_true", help="end backends of PostgreSQL all the time, too")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    return some_of_each_kind(asyncio.run(stress(work, options.seed, options.minutes * 60, options.backends)))


async def stress(
    work: Path, seed: int, seconds: float, ends_backends: bool = False, sabotage: Sequence[str] = (),
    again_and_again: str = "",
) -> list[str]:
    """Returns the violations.

    - sabotage: statements that are run before the load, as of a planted bug, each by itself.
    - again_and_again: the same, all along.
    """
    settings = [{
        "HOLD_TTL_SECONDS": str(hold), "ORDER_TTL_SECONDS": str(order), "PARKED_EVENT_TTL_SECONDS": str(PARKED_TTL),
        "ADMIN_TOKEN": TOKEN, "LOG_LEVEL": "info"} for hold, order in zip(HOLD_TTLS, ORDER_TTLS)]
    history = History(work / HISTORY)
    conditions = Conditions(HOLD_TTLS, ORDER_TTLS, PARKED_TTL)
    async with staged(work, settings, has_proxies=False, preparation=PREPARATION) as scene:
        await asyncio.to_thread(changes.install, scene.sql)
        for statement in sabotage:
            await asyncio.to_thread(scene.sql, statement)
        operators = [Client(-1 - number, scene.ports, history, token=TOKEN) for number in range(OPERATORS)]
        products = [await create(scene, number) for number in range(PRODUCTS)]
        conditions.undisturbed = frozenset(products[-UNDISTURBED:])
        shop = Shop(products, RATE, LIMITED, max(ORDER_TTLS), PARKED_TTL)
        crowd = Crowd(shop, CLIENTS, scene.ports, history, seed, partial(Client, token=TOKEN))
        watch = asyncio.create_task(watch_for_stalls(conditions.stalls))
        violations = await load(scene, crowd, conditions, ends_backends, operators, seed, seconds, again_and_again)
        watch.cancel()
        violations += scene.violations + unanswered(history, scene.servers)
        violations += [f"audit at the end: {line}" for line in await asyncio.to_thread(audit, scene.database.url) or []]
        history.close()
        await asyncio.to_thread(changes.save, scene.database.url, work / CHANGES)
    (work / CONDITIONS).write_text(json.dumps(asdict(conditions) | {"undisturbed": sorted(conditions.undisturbed)}))
    start = time.monotonic()
    judgement = judge(changes.read(work / CHANGES), history.calls, conditions)
    print_calls(history)
    verdicts = Counter(call.answer["verdict"] for call in history.calls if call.operation == "pay" and "verdict" in call.answer)
    print(f"  verdicts: {', '.join(f'{verdict} {count:,}' for verdict, count in sorted(verdicts.items()))}")
    print(f"{judgement.transactions:,} transactions, {judgement.changes:,} changes, {len(conditions.locks)} times rows locked, "
          f"{len(conditions.kills)} backends ended; {sum(until - since for since, until in conditions.stalls):.1f} s in which "
          f"the machine was too busy; judged in {time.monotonic() - start:.1f} s")
    print(f"latest expiry where nothing was locked: hold {judgement.latest_hold:.3f} s, order {judgement.latest_order:.3f} s")
    violations += judgement.violations
    (work / VIOLATIONS).write_text("\n".join(violations))
    return violations


def judge_again(evidence: Path, history: History) -> list[str]:
    """The violations that the judge finds in the files of an earlier run."""
    saved = json.loads((evidence / CONDITIONS).read_text())
    saved |= {"locks": [Lock(**lock) for lock in saved["locks"]], "undisturbed": frozenset(saved["undisturbed"])}
    return some_of_each_kind(judge(changes.read(evidence / CHANGES), history.calls, Conditions(**saved)).violations)


async def create(scene: Scene, number: int) -> int:
    """A product, by a call that is not part of the history; its id."""
    client = Client(0, scene.ports, History(), token=TOKEN)
    call = await client.call("create", 0, {
        "name": f"Product {number}", "price": 1000 + number, "currency": CURRENCY, "total_stock": STOCK}, 0)
    client.close()
    if call.status != 201:
        raise HarnessError(f"a product was not made: {call.word} {call.answer}")
    return int(call.answer["id"])


async def load(
    scene: Scene, crowd: Crowd, conditions: Conditions, ends_backends: bool, operators: Sequence[Client], seed: int,
    seconds: float, again_and_again: str,
) -> list[str]:
    """Adds to the conditions what is locked and ended. Returns what is stuck."""
    def chance(name: object) -> random.Random:
        return random.Random(f"{seed} {name}")

    shop, url = crowd.shop, scene.database.url
    locked = shop.products[:-UNDISTURBED]
    crowd.start()
    operations = [asyncio.create_task(Operator(client, shop, chance(client.number)).run()) for client in operators]
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
    deadline = time.monotonic() + SETTLES_WITHIN
    stuck = await settle(scene, SETTLES_WITHIN)
    await asyncio.sleep(max(0.0, deadline - time.monotonic()))
    await crowd.stop()
    await asyncio.gather(*operations)
    for client in operators:
        client.close()
    return stuck


async def watch_for_stalls(stalls: list[tuple[float, float]]) -> None:
    """Records when the machine did not run this process in time."""
    while True:
        asleep = time.time()
        await asyncio.sleep(0.01)
        if (awake := time.time()) - asleep > STALL:
            stalls.append((asleep, awake))


async def repeat(url: str, statements: str) -> None:
    """All along, until it is cancelled."""
    while statements:
        await asyncio.to_thread(sql, url, statements)
        await asyncio.sleep(0.5)
