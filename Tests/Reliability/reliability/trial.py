"""Load on a scene, recorded from its first call to the last check."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from harness.processes import HarnessError

from . import checker, database
from .history import History
from .load import Load, Market
from .processes import Server
from .scene import HOLD_TTL, ORDER_TTL, Scene

# The evidence that is left where a violation was found, beside the logs of servers and database.
HISTORY = "history.jsonl"
DATABASE = "database.json"

AUDIT_PERIOD = 5.0     # seconds
ANSWER_WITHIN = 5.0    # seconds, whatever happens
# Seconds after the last fault in which every hold and order has to run out; longer than their times to live.
SETTLES_WITHIN = 10.0


class Trial:
    def __init__(
        self, scene: Scene, market: Market, clients: int, seed: int, ports: list[int] | None = None,
        audit_period: float = AUDIT_PERIOD,
    ) -> None:
        """Servers are called on their ports, unless others are given that lead to them."""
        self.scene = scene
        self.market = market
        self.history = History(scene.work / HISTORY)
        self.violations: list[str] = []
        self.seconds_to_check = 0.0
        self.audits = 0  # that the database could answer
        self._load = Load(market, ports or scene.ports, clients, self.history, seed)
        self._audit_period = audit_period
        self._auditor: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._load.start()
        self._started = time.monotonic()
        self._auditor = asyncio.create_task(self._audit_regularly())

    async def finish(self, since: float | None = None) -> None:
        """Lets everything settle, ends the load, and checks it all.

        - since: the end of the last fault or of buying, whichever came later, on the monotonic clock; now by default.
        """
        await self._settle(since or time.monotonic())
        assert self._auditor is not None
        self._auditor.cancel()
        for result in await asyncio.gather(self._auditor, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                self.violations.append(f"the audits ended: {result}")
        due = (time.monotonic() - self._started) / self._audit_period
        if due > 3 and self.audits < due / 2:
            self.violations.append(f"of {due:.0f} audits that were due the database could answer {self.audits}")
        await self._load.stop()
        for task in self.scene.background:
            task.cancel()
        await asyncio.to_thread(self._check)

    async def audit(self, when: str) -> None:
        broken = await asyncio.to_thread(self.scene.audit)
        self.audits += broken is not None
        self.violations += [f"audit {when}: {line}" for line in broken or []]

    async def _audit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._audit_period)
            await self.audit("during the run")

    async def _settle(self, since: float) -> None:
        """Holds and orders run out while clients only pay, release and read; then none may be left."""
        self.market.is_settling = True
        deadline = since + SETTLES_WITHIN
        left = ["not asked yet"]
        while left and (time.monotonic() < deadline or left == ["not asked yet"]):
            await asyncio.sleep(0.25)
            left = await asyncio.to_thread(unsettled, self.scene)
        self.violations += [f"stuck {SETTLES_WITHIN:.0f} s after the last fault: {line}" for line in left]

    def _check(self) -> None:
        self.history.close()
        self.violations += self.scene.violations
        broken = self.scene.audit()
        if broken is None:
            self.violations.append("the database cannot be audited at the end")
            return
        self.violations += [f"audit at the end: {line}" for line in broken]
        self.violations += unanswered(self.history, self.scene.servers)
        start = time.monotonic()
        rows = database.read(self.scene.sql)
        rows.save(self.scene.work / DATABASE)
        self.violations += checker.check(self.history, rows, HOLD_TTL, ORDER_TTL)
        self.seconds_to_check = time.monotonic() - start


def unanswered(history: History, servers: Sequence[Server]) -> list[str]:
    """Calls that a server left without a proper answer, or answered too late, though it was there all the time."""
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


def unsettled(scene: Scene) -> list[str]:
    """What time has to put an end to, as long as it has not."""
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


def print_calls(trial: Trial) -> None:
    counts = Counter((call.operation, call.word) for call in trial.history.calls)
    print(f"{trial.audits} audits; {len(trial.history.calls):,} calls, checked in {trial.seconds_to_check:.1f} s:")
    for (operation, word), count in sorted(counts.items()):
        print(f"  {operation:10}  {word:28}  {count:9,}")
