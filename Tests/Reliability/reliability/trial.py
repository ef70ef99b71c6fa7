"""Load on a scene, recorded from its first call to the last check."""

import asyncio
import time
from collections import Counter

from bench.children import BenchError

from . import checker, database
from .history import History
from .load import Load, Market
from .scene import HOLD_TTL, ORDER_TTL, Scene

# The evidence that is left where a violation was found, beside the logs of servers and database.
HISTORY = "history.jsonl"
DATABASE = "database.json"

AUDIT_PERIOD = 5.0     # seconds
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

    async def finish(self) -> None:
        """Lets everything settle, ends the load, and checks it all."""
        await self._settle()
        assert self._auditor is not None
        self._auditor.cancel()
        for result in await asyncio.gather(self._auditor, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                self.violations.append(f"the audits ended: {result}")
        if self.audits == 0 and time.monotonic() - self._started > 3 * self._audit_period:
            self.violations.append("the database could not be audited once")
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

    async def _settle(self) -> None:
        """Holds and orders run out while clients only pay, release and read; then none may be left."""
        self.market.is_settling = True
        deadline = time.monotonic() + SETTLES_WITHIN
        left = ["not asked yet"]
        while left and time.monotonic() < deadline:
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
        start = time.monotonic()
        rows = database.read(self.scene.sql)
        rows.save(self.scene.work / DATABASE)
        self.violations += checker.check(self.history, rows, HOLD_TTL, ORDER_TTL)
        self.seconds_to_check = time.monotonic() - start


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
    except BenchError as error:
        return [str(error)]
    return rows.splitlines()


def print_calls(trial: Trial) -> None:
    counts = Counter((call.operation, call.word) for call in trial.history.calls)
    print(f"{trial.audits} audits; {len(trial.history.calls):,} calls, checked in {trial.seconds_to_check:.1f} s:")
    for (operation, word), count in sorted(counts.items()):
        print(f"  {operation:10}  {word:28}  {count:9,}")
