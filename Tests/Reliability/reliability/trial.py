"""Load that is recorded from its first call to the last check."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from math import inf
from pathlib import Path

from harness.processes import HarnessError
from harness.services import audit, create_product, sql

from . import history
from .checker import changes
from .checker.conditions import Conditions
from .checker.judge import judge, some_of_each_kind
from .client import Client
from .crowd import Crowd
from .history import History
from .processes import Child
from .scene import Scene
from .shop import Shop

# The evidence that is left where a violation was found, beside the logs of servers and database.
HISTORY = "history.jsonl"
CHANGES = "changes.jsonl"
CONDITIONS = "conditions.json"

ANSWER_WITHIN = 5.0    # seconds, whatever happens
# Seconds after the last fault in which every hold and order must end; longer than their times to live.
SETTLES_WITHIN = 10.0
STALL = 0.15           # seconds


class Sale:
    """Crowds of buyers of one product that never lapses, and the judgement of their calls."""

    STOCK = 1_000_000

    def __init__(self, work: Path, url: str, rate: float, buyers: int, seed: int) -> None:
        """`rate` is in calls a second, of all buyers; `url` is the database's."""
        self.work, self.url, self.rate, self.buyers, self.seed = work, url, rate, buyers, seed
        self.history = History(work / HISTORY)
        self.product = create_product(url, stock=self.STOCK)

    def crowd(self, *ports: int) -> Crowd:
        return Crowd(Shop([self.product], self.rate, has_admin=False), self.buyers, ports, self.history, self.seed)

    async def judge(self) -> list[str]:
        self.history.flush()
        return await asyncio.to_thread(judged, self.history, self.url, self.work, Conditions())


class Trial:
    """Buyers on a scene, and the checks during the run and after it."""

    def __init__(
        self, scene: Scene, shop: Shop, clients: int, seed: int, client: type[Client] = Client,
        audit_period: float = 5.0, settles_within: float = SETTLES_WITHIN,
    ) -> None:
        self.scene, self.shop = scene, shop
        self.history = History(scene.work / HISTORY)
        self.violations: list[str] = []
        self.audits = 0  # to which the database could respond
        self._crowd = Crowd(shop, clients, scene.ports, self.history, seed, client)
        self._audit_period, self._settles_within = audit_period, settles_within

    async def start(self) -> None:
        await self._crowd.__aenter__()
        self._started = time.monotonic()
        self._auditor = asyncio.create_task(self._audit_regularly())
        self._watch = asyncio.create_task(watch_for_stalls(self.scene.conditions.stalls))

    async def finish(self, since: float | None = None) -> None:
        """Lets everything settle, ends the load, and checks it all.

        - since: the end of the last fault or of buying, whichever came later, on the monotonic clock; now by default.
        """
        self.shop.is_settling = True
        deadline = (since or time.monotonic()) + self._settles_within
        self.violations += await settle(self.scene, deadline)
        if self.scene.conditions.parked_ttl < inf:  # until then parked events become refund_due
            await asyncio.sleep(max(0.0, deadline - time.monotonic()))
        self._auditor.cancel()
        for result in await asyncio.gather(self._auditor, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                self.violations.append(f"the audits ended: {result}")
        due = (time.monotonic() - self._started) / self._audit_period
        if due > 3 and self.audits < due / 2:
            self.violations.append(f"of {due:.0f} audits that were due the database could answer {self.audits}")
        await self._crowd.__aexit__()
        for task in (self._watch, *self.scene.background):
            task.cancel()
        self.history.flush()
        self.violations += self.scene.violations + unanswered(self.history, self.scene.servers)
        print_calls(self.history)
        print(f"{self.audits} audits")
        self.violations += await asyncio.to_thread(
            judged, self.history, self.scene.database.url, self.scene.work, self.scene.conditions)

    async def audit(self, when: str) -> None:
        broken = await asyncio.to_thread(audit, self.scene.database.url)
        self.audits += broken is not None
        self.violations += [f"audit {when}: {line}" for line in broken or []]

    async def _audit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._audit_period)
            await self.audit("during the run")


def judged(history: History, url: str, work: Path, conditions: Conditions) -> list[str]:
    """The violations of the calls and of the database, whose evidence is left in `work`."""
    broken = audit(url)
    if broken is None:
        return ["the database cannot be audited at the end"]
    changes.save(url, work / CHANGES)
    conditions.save(work / CONDITIONS)
    start = time.monotonic()
    judgement = judge(changes.read(work / CHANGES), history.calls, conditions)
    print(f"{judgement.transactions:,} transactions, {judgement.changes:,} changes, judged in "
          f"{time.monotonic() - start:.1f} s")
    if conditions.undisturbed:
        print(f"latest expiry where nothing was locked: hold {judgement.latest_hold:.3f} s, order "
              f"{judgement.latest_order:.3f} s")
    return [*(f"audit at the end: {line}" for line in broken), *some_of_each_kind(judgement.violations)]


def judge_again(evidence: Path) -> list[str]:
    """The violations in the files of an earlier run."""
    log, calls = changes.read(evidence / CHANGES), history.read(evidence / HISTORY)
    return some_of_each_kind(judge(log, calls, Conditions.load(evidence / CONDITIONS)).violations)


def unanswered(history: History, servers: Sequence[Child]) -> list[str]:
    """Calls without a proper response in time, although their server ran all the time."""
    found = []
    for call in history.calls:
        if call.fault.startswith("not an answer"):
            found.append(f"{call.operation}: {call.fault}")
            continue
        server, times = servers[call.server], (call.start_monotonic, call.end_monotonic)
        if call.fault == "connection lost":
            is_excused = server.ended_between(call.connected, call.end_monotonic)
        elif call.end_monotonic - call.start_monotonic > ANSWER_WITHIN:
            is_excused = server.ended_between(*times) or server.paused_between(*times)
        else:
            continue  # answered, or given up by a probe, which has less patience
        if not is_excused:
            found.append(f"{call.operation}: {call.word} after {times[1] - times[0]:.1f} s, and {server.name} was there")
    return [f"{count} × {what}" for what, count in sorted(Counter(found).items())]


async def settle(scene: Scene, deadline: float) -> list[str]:
    """Waits until all holds, orders and jobs that are due have ended; returns those that have not in time."""
    while True:
        await asyncio.sleep(0.25)
        left = await asyncio.to_thread(unsettled, scene)
        if not left or time.monotonic() > deadline:
            return [f"stuck after the last fault: {line}" for line in left]


def unsettled(scene: Scene) -> list[str]:
    try:
        rows = scene.sql("""
            select 'hold ' || id || ' of product ' || product_id || ' is active, until ' || expires_at from holds
            where status = 'active'
            union all
            select 'order ' || id || ' of product ' || product_id || ' is unpaid, due ' || payment_due_at from orders
            where status = 'pending_payment'
            union all
            select 'job ' || kind || ' of product ' || product_id || ' is due ' || run_at from scheduled_jobs
            where run_at < clock_timestamp() - interval '1 second'
            limit 20""")
    except HarnessError as error:
        return [str(error)]
    return rows.splitlines()


async def watch_for_stalls(stalls: list[tuple[float, float]]) -> None:
    """Records when the machine did not run this process in time."""
    while True:
        asleep = time.time()
        await asyncio.sleep(0.01)
        if (awake := time.time()) - asleep > STALL:
            stalls.append((asleep, awake))


async def repeat(url: str, statements: str) -> None:
    """Runs the statements again and again, until it is cancelled."""
    while statements:
        await asyncio.to_thread(sql, url, statements)
        await asyncio.sleep(0.5)


def print_calls(history: History) -> None:
    print(f"{len(history.calls):,} calls:")
    for (operation, word), count in sorted(Counter((call.operation, call.word) for call in history.calls).items()):
        print(f"  {operation:10}  {word:28}  {count:9,}")
