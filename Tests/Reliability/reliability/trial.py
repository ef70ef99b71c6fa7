"""Load that is recorded from its first call to the last check."""

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.processes import HarnessError
from harness.services import FLASHSALE, TIME_TO_LIVE, sql

from . import checker, database
from .client import Client
from .crowd import Crowd
from .history import History
from .processes import Child
from .scene import HOLD_TTL, ORDER_TTL, Scene
from .shop import Shop

# The evidence that is left where a violation was found, beside the logs of servers and database.
HISTORY = "history.jsonl"
DATABASE = "database.json"

AUDIT_PERIOD = 5.0     # seconds
ANSWER_WITHIN = 5.0    # seconds, whatever happens
# Seconds after the last fault in which every hold and order must end; longer than their times to live.
SETTLES_WITHIN = 10.0


class Trial:
    """Buyers on a scene, and the checks during the run and after it."""

    def __init__(
        self, scene: Scene, stocks: dict[int, int], rate: float, clients: int, seed: int,
        client: type[Client] = Client, audit_period: float = AUDIT_PERIOD,
    ) -> None:
        """`rate` is in calls a second, of all clients."""
        self.scene = scene
        self.shop = Shop(list(stocks), rate, order_ttl=ORDER_TTL, too_many=max(stocks.values()) + 1)
        if len(stocks) > 1:
            scarce = list(stocks)[-1]
            self.shop.payable[scarce] = stocks[scarce] // 2
        self.history = History(scene.work / HISTORY)
        self.violations: list[str] = []
        self.audits = 0  # that the database could answer
        self._crowd = Crowd(self.shop, clients, scene.ports, self.history, seed, client)
        self._audit_period = audit_period

    def start(self) -> None:
        self._crowd.start()
        self._started = time.monotonic()
        self._auditor = asyncio.create_task(self._audit_regularly())

    async def finish(self, since: float | None = None) -> None:
        """Lets everything settle, ends the load, and checks it all.

        - since: the end of the last fault or of buying, whichever came later, on the monotonic clock; now by default.
        """
        self.shop.is_settling = True
        self.violations += await settle(self.scene, SETTLES_WITHIN, since)
        self._auditor.cancel()
        for result in await asyncio.gather(self._auditor, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                self.violations.append(f"the audits ended: {result}")
        due = (time.monotonic() - self._started) / self._audit_period
        if due > 3 and self.audits < due / 2:
            self.violations.append(f"of {due:.0f} audits that were due the database could answer {self.audits}")
        await self._crowd.stop()
        for task in self.scene.background:
            task.cancel()
        self.history.close()
        self.violations += self.scene.violations + unanswered(self.history, self.scene.servers)
        start = time.monotonic()
        self.violations += await asyncio.to_thread(
            judge, self.history, self.scene.database.url, self.scene.work, HOLD_TTL, ORDER_TTL)
        print_calls(self.history)
        print(f"{self.audits} audits; checked in {time.monotonic() - start:.1f} s")

    async def audit(self, when: str) -> None:
        broken = await asyncio.to_thread(audit, self.scene.database.url)
        self.audits += broken is not None
        self.violations += [f"audit {when}: {line}" for line in broken or []]

    async def _audit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._audit_period)
            await self.audit("during the run")


def judge(
    history: History, url: str, work: Path, hold_ttl: float = TIME_TO_LIVE, order_ttl: float = TIME_TO_LIVE
) -> list[str]:
    """Whether the history kept the promises, given the database at the end; leaves the evidence in `work`."""
    broken = audit(url)
    if broken is None:
        return ["the database cannot be audited at the end"]
    rows = database.read(lambda statements: sql(url, statements))
    database.save(work / DATABASE, rows, hold_ttl, order_ttl)
    return [*(f"audit at the end: {line}" for line in broken), *checker.check(history, rows, hold_ttl, order_ttl)]


def audit(url: str) -> list[str] | None:
    """The invariants that are broken; None when the database cannot be asked."""
    try:
        result = subprocess.run([FLASHSALE, "audit", "--json", "--database-url", url],
                                capture_output=True, text=True, timeout=60)
        checks = json.loads(result.stdout)["checks"]
    except (ValueError, subprocess.TimeoutExpired):
        return None
    return [f"{check['name']}: {check['violations']} rows" for check in checks if check["violations"]]


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
            continue  # answered, or asked by a probe, which has less patience
        if not is_excused:
            found.append(f"{call.operation}: {call.word} after {times[1] - times[0]:.1f} s, and {server.name} was there")
    return [f"{count} × {what}" for what, count in sorted(Counter(found).items())]


async def settle(scene: Scene, seconds: float, since: float | None = None) -> list[str]:
    """Waits until all holds, orders and jobs that are due have ended; returns those that have not in time."""
    deadline = (since or time.monotonic()) + seconds
    while True:
        await asyncio.sleep(0.25)
        left = await asyncio.to_thread(unsettled, scene)
        if not left or time.monotonic() > deadline:
            return [f"stuck {seconds:.0f} s after the last fault: {line}" for line in left]


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


def print_calls(history: History) -> None:
    print(f"{len(history.calls):,} calls:")
    for (operation, word), count in sorted(Counter((call.operation, call.word) for call in history.calls).items()):
        print(f"  {operation:10}  {word:28}  {count:9,}")
