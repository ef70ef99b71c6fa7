"""Three servers on one database, random calls, changes and locks; then the log of changes tells what must have been."""

import argparse
import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness.processes import HarnessError

from ..client import Client
from ..history import Call, History
from ..scene import Scene, staged
from ..trial import HISTORY, unanswered, unsettled
from . import changes
from .conditions import Conditions, Lock
from .judge import Judgement, judge, some_of_each_kind
from .shop import CURRENCY, Buyer, Operator, Shop
from .trouble import Killer, Locker, TableLocker

SUMMARY = "random calls with limits, windows, late payments and locked rows; every change and every answer is judged"

CHANGES = "changes.jsonl"
CONDITIONS = "conditions.json"
VIOLATIONS = "violations.txt"

# The time to live depends on the server, so that jobs become due earlier than what workers sleep for.
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
PRODUCTS = 8
UNDISTURBED = 2                # of these: no row of theirs is locked
STOCK = 25
LOCKERS = 4
OPERATORS = 3                  # of whom some wait for a locked row
STALL = 0.15                   # seconds
# In which all has to run out, and parked payments to be given up.
SETTLES_WITHIN = 12.0


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--backends", action="store_true", help="end backends of PostgreSQL all the time, too")
    group.add_argument("--stress-rate", type=float, default=500, help="calls a second, of all clients (default: 500)")
    group.add_argument("--stress-clients", type=int, default=40, help="(default: 40)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    return some_of_each_kind(asyncio.run(stress(
        work, options.seed, options.minutes * 60, options.stress_rate, options.stress_clients, options.backends)))


async def stress(
    work: Path, seed: int, seconds: float, rate: float = 500, clients: int = 40, ends_backends: bool = False,
    sabotage: Sequence[str] = (), again_and_again: str = "", is_telling: bool = True,
) -> list[str]:
    """Returns the violations.

    - sabotage: statements that are run before the load, as of a planted bug, each by itself.
    - again_and_again: the same, all along.
    - is_telling: print what was done.
    """
    settings = [{
        "HOLD_TTL_SECONDS": str(hold), "ORDER_TTL_SECONDS": str(order), "PARKED_EVENT_TTL_SECONDS": str(PARKED_TTL),
        "ADMIN_TOKEN": TOKEN, "LOG_LEVEL": "info"} for hold, order in zip(HOLD_TTLS, ORDER_TTLS)]
    history = History(work / HISTORY)
    async with staged(work, settings, has_proxies=False, preparation=PREPARATION) as scene:
        await asyncio.to_thread(changes.install, scene.sql)
        for statement in sabotage:
            await asyncio.to_thread(scene.sql, statement)
        operators = [Client(-1 - number, scene.ports, history, token=TOKEN) for number in range(OPERATORS)]
        products = [await create(operators[0], number) for number in range(PRODUCTS)]
        shop = Shop(products, rate, max(ORDER_TTLS), PARKED_TTL)
        stalls: list[tuple[float, float]] = []
        watch = asyncio.create_task(watch_for_stalls(stalls))
        locks: list[Lock] = []
        kills: list[float] = []
        violations = await load(
            scene, shop, locks, kills if ends_backends else None, history, operators, seed, seconds, clients, again_and_again)
        watch.cancel()
        violations += scene.violations + unanswered(history, scene.servers)
        violations += [f"audit at the end: {line}" for line in await asyncio.to_thread(scene.audit) or []]
        history.close()
        await asyncio.to_thread(changes.save, scene.database.url, work / CHANGES)
    conditions = Conditions(
        HOLD_TTLS, ORDER_TTLS, PARKED_TTL, locks, kills, undisturbed=frozenset(products[-UNDISTURBED:]), stalls=stalls)
    (work / CONDITIONS).write_text(json.dumps(asdict(conditions) | {"undisturbed": products[-UNDISTURBED:]}))
    start = time.monotonic()
    judgement = judge(changes.read(work / CHANGES), history.calls, conditions)
    if is_telling:
        tell(history, conditions, judgement, seconds, time.monotonic() - start)
    (work / VIOLATIONS).write_text("\n".join(violations := violations + judgement.violations))
    return violations


async def create(operator: Client, number: int) -> int:
    call = await operator.call("create", 0, {
        "name": f"Product {number}", "price": 1000 + number, "currency": CURRENCY, "total_stock": STOCK}, number % 3)
    operator.history.calls.remove(call)
    if call.status != 201:
        raise HarnessError(f"a product was not made: {call.word} {call.answer}")
    return int(call.answer["id"])


async def load(
    scene: Scene, shop: Shop, locks: list[Lock], kills: list[float] | None, history: History, operators: list[Client], seed: int,
    seconds: float, clients: int, again_and_again: str,
) -> list[str]:
    """Adds to locks, and to kills if backends are to be ended. Returns what is stuck."""
    def chance(name: object) -> random.Random:
        return random.Random(f"{seed} {name}")

    locked, url = shop.products[:-UNDISTURBED], scene.database.url
    people: list[Buyer | Operator] = [
        Buyer(Client(number, scene.ports, history, token=TOKEN), shop, chance(number)) for number in range(clients)]
    people += [Operator(client, shop, chance(client.number)) for client in operators]
    people_tasks = [asyncio.create_task(person.run(clients)) for person in people]
    troubles: list[Locker | TableLocker | Killer] = [
        Locker(url, locked, shop, locks, chance(f"locker {number}")) for number in range(LOCKERS)]
    troubles.append(TableLocker(url, shop, locks, chance("table locker")))
    if kills is not None:
        troubles.append(Killer(url, shop, kills, chance("killer")))
    tasks = [asyncio.create_task(trouble.run()) for trouble in troubles]
    if again_and_again:
        tasks.append(asyncio.create_task(repeat(scene, shop, again_and_again)))
    await asyncio.sleep(seconds)
    shop.is_settling = True
    await asyncio.gather(*tasks)
    left = ["not asked yet"]
    deadline = time.monotonic() + SETTLES_WITHIN
    while left and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        left = await asyncio.to_thread(unsettled, scene)
    await asyncio.sleep(max(0.0, deadline - time.monotonic()))
    shop.is_over = True
    await asyncio.gather(*people_tasks)
    for person in people:
        person.client.close()
    return [f"stuck {SETTLES_WITHIN:.0f} s after the last trouble: {line}" for line in left]


def waits(calls: list[Call], conditions: Conditions) -> dict[tuple[str, ...], list[float]]:
    """How long buyers waited for the answer to a hold, by what the harness had locked of their product meanwhile."""
    found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for call in calls:
        if call.operation == "hold":
            tables = conditions.tables_locked(call.product, call.start, call.end)
            found[tuple(sorted(tables))].append(call.end - call.start)
    return {tables: sorted(times) for tables, times in found.items()}


async def watch_for_stalls(stalls: list[tuple[float, float]]) -> None:
    """Notes when this process was not run for long, though it had to be."""
    while True:
        asleep = time.time()
        await asyncio.sleep(0.01)
        if (awake := time.time()) - asleep > STALL:
            stalls.append((asleep, awake))


async def repeat(scene: Scene, shop: Shop, statements: str) -> None:
    while not shop.is_settling:
        await asyncio.to_thread(scene.sql, statements)
        await asyncio.sleep(0.5)


def tell(history: History, conditions: Conditions, judgement: Judgement, seconds: float, checked: float) -> None:
    calls = history.calls
    print(f"{len(calls):,} calls ({len(calls) / seconds:.0f} a second), {judgement.transactions:,} transactions, "
          f"{judgement.changes:,} changes, {len(conditions.locks)} times rows locked, {len(conditions.kills)} backends ended; "
          f"{sum(until - since for since, until in conditions.stalls):.1f} s in which the machine was too busy; judged in {checked:.1f} s")
    print(f"latest expiry where nothing was locked: hold {judgement.latest_hold:.3f} s, "
          f"order {judgement.latest_order:.3f} s")
    for tables, times in sorted(waits(calls, conditions).items()):
        print(f"  holds, {', '.join(tables) or 'nothing'} locked: {len(times):,}, p99 {times[int(len(times) * 0.99)]:.3f} s, "
              f"at most {times[-1]:.3f} s")
    for (operation, word), count in sorted(Counter((call.operation, call.word) for call in calls).items()):
        print(f"  {operation:10}  {word:28}  {count:9,}")
    verdicts = Counter(call.answer["verdict"] for call in calls if call.operation == "pay" and "verdict" in call.answer)
    print("  verdicts:", ", ".join(f"{verdict} {count:,}" for verdict, count in sorted(verdicts.items())))
