"""Load that is recorded from its first call to the last check."""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from math import inf
from pathlib import Path

from harness.processes import HarnessError
from harness.services import audit, create_product, sql

from . import history
from .checker import changes, events
from .checker.conditions import Conditions
from .checker.judge import judge, some_of_each_kind
from .client import Client
from .endpoint import Endpoint
from .history import History
from .processes import Child, beside
from .scene import Scene
from .shop import Buyer, Operator, Person, Shop

# The evidence that is left where a violation was found, beside the logs of servers and database.
HISTORY, CHANGES, CONDITIONS = "history.jsonl", "changes.jsonl", "conditions.json"
EVENTS, RECEIPTS = "events.jsonl", "receipts.jsonl"  # where endpoints get events

ANSWER_WITHIN = 5.0    # seconds, whatever happens
# Seconds after the last fault in which every hold and order must end; longer than their times to live.
SETTLES_WITHIN = 10.0
DELIVERS_WITHIN = 45.0  # seconds after everything has settled, for the events that are left
STALL = 0.15           # seconds


@asynccontextmanager
async def crowd(
    shop: Shop, count: int, ports: Sequence[int], history: History, seed: object, client: type[Client] = Client,
    operators: int = 0,
) -> AsyncIterator[None]:
    """Buyers, and operators, begin with the block. At its end each of them waits for its last response."""
    # Customers and keys contain the client's number, so each crowd of a history gets new numbers.
    first = 1000 * (1 + max((call.client for call in history.calls), default=-1) // 1000)
    people: list[Person] = [
        kind(client(number, list(ports), history), shop, random.Random(f"{seed} {number}"))
        for number, kind in enumerate([Buyer] * count + [Operator] * operators, first)]
    tasks = [asyncio.create_task(person.run(count)) for person in people]
    try:
        yield
    finally:
        shop.is_over = True
        await asyncio.gather(*tasks)
        for person in people:
            person.client.close()


class Sale:
    """Crowds of buyers of one product that never lapses, and the judgement of their calls."""

    STOCK = 1_000_000

    def __init__(self, work: Path, url: str, rate: float, buyers: int, seed: int) -> None:
        """`rate` is in calls a second, of all buyers; `url` is the database's."""
        self.work, self.url, self.rate, self.buyers, self.seed = work, url, rate, buyers, seed
        self.history = History(work / HISTORY)
        self.product = create_product(url, stock=self.STOCK)

    def crowd(self, *ports: int) -> AbstractAsyncContextManager[None]:
        shop = Shop([self.product], self.rate, has_admin=False)
        return crowd(shop, self.buyers, ports, self.history, self.seed)

    async def judge(self) -> list[str]:
        return await asyncio.to_thread(judged, self.history, self.url, self.work, Conditions())


class Trial:
    """Buyers on a scene, and what is found about them."""

    def __init__(self, scene: Scene, shop: Shop) -> None:
        self.scene, self.shop, self.history = scene, shop, History(scene.work / HISTORY)
        self.violations: list[str] = []
        self.audits = 0  # to which the database could respond
        self.settles_since: float | None = None  # the end of the last fault, if later than the end of buying

    @asynccontextmanager
    async def run(
        self, clients: int, seed: int, client: type[Client] = Client, operators: int = 0, audit_period: float = 5.0,
        settles_within: float = SETTLES_WITHIN,
    ) -> AsyncIterator[None]:
        """Buyers buy during the block. After it everything has to settle, then all of it is checked."""
        scene, shop = self.scene, self.shop
        async with (beside(watch_for_stalls(scene.conditions.stalls)),
                    crowd(shop, clients, scene.ports, self.history, seed, client, operators)):
            started = time.monotonic()
            async with beside(self._audit_regularly(audit_period)):
                yield
                shop.is_settling = True
                deadline = (self.settles_since or time.monotonic()) + settles_within
                self.violations += await settle(scene, deadline)
                if scene.conditions.parked_ttl < inf:  # until then parked events become refund_due
                    await asyncio.sleep(max(0.0, deadline - time.monotonic()))
            due = (time.monotonic() - started) / audit_period
            if due > 3 and self.audits < due / 2:
                self.violations.append(
                    f"of {due:.0f} audits that were due the database could answer {self.audits}")
        for task in scene.background:
            task.cancel()
        self.violations += scene.violations + unanswered(self.history, scene.servers)
        print_calls(self.history)
        print(f"{self.audits} audits")
        self.violations += await asyncio.to_thread(
            judged, self.history, scene.database.url(), scene.work, scene.conditions)

    @asynccontextmanager
    async def listening(self, seed: int) -> AsyncIterator[None]:
        """Endpoints get the events of the block, which has the run. Then all events have to come, and are judged."""
        scene = self.scene
        async with AsyncExitStack() as stack:
            file = stack.enter_context(open(scene.work / RECEIPTS, "w", encoding="utf-8"))
            for types in events.SUBSCRIPTIONS:
                endpoint = Endpoint(types, random.Random(f"{seed} {types}"), file)
                await stack.enter_async_context(endpoint)
                await asyncio.to_thread(endpoint.subscribe, scene.ports[0])
                scene.endpoints.append(endpoint)
            yield
            for endpoint in scene.endpoints:
                endpoint.trouble = 0.0
            self.violations += await delivered(scene)
            await self.audit("after the last event")
        if (scene.work / CHANGES).exists():  # else the run has told why
            changes.save(scene.database.url(), scene.work / EVENTS, events.QUERY)
            self.violations += await asyncio.to_thread(judged_events, scene.work)

    async def audit(self, when: str) -> None:
        broken = await asyncio.to_thread(audit, self.scene.database.url())
        self.audits += broken is not None
        self.violations += [f"audit {when}: {line}" for line in broken or []]

    async def _audit_regularly(self, period: float) -> None:
        while True:
            await asyncio.sleep(period)
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
        print(f"latest expiry where nothing was locked: hold {judgement.latest['holds']:.3f} s, order "
              f"{judgement.latest['orders']:.3f} s")
    return [*(f"audit at the end: {line}" for line in broken), *some_of_each_kind(judgement.violations)]


def judged_events(work: Path) -> list[str]:
    """The violations of events, by the evidence in `work`."""
    return some_of_each_kind([*events.check(
        changes.read(work / CHANGES), events.read_events(work / EVENTS), events.read_receipts(work / RECEIPTS))])


async def recheck(options: argparse.Namespace, work: Path) -> list[str]:
    evidence = options.evidence
    if evidence is None or not (evidence / HISTORY).exists():
        raise HarnessError(f"--recheck needs --evidence FOLDER, with a {HISTORY} in it")
    log, calls = changes.read(evidence / CHANGES), history.read(evidence / HISTORY)
    found = some_of_each_kind(judge(log, calls, Conditions.load(evidence / CONDITIONS)).violations)
    return found + (judged_events(evidence) if (evidence / EVENTS).exists() else [])


def unanswered(history: History, servers: Sequence[Child]) -> list[str]:
    """Calls without a proper response in time, although their server ran all the time."""
    found: Counter[str] = Counter()
    for call in history.calls:
        server, begin, end = servers[call.server], call.start_monotonic, call.end_monotonic
        if call.fault.startswith("not an answer"):
            found[f"{call.operation}: {call.fault}"] += 1
            continue
        excuses = server.ends
        if call.fault == "connection lost":
            begin = call.connected
        elif end - begin > ANSWER_WITHIN:
            excuses = server.ends + server.pauses
        else:
            continue  # answered, or given up by a probe, which has less patience
        if not any(begin < until and since < end for since, until in excuses):
            took = end - call.start_monotonic
            found[f"{call.operation}: {call.word} after {took:.1f} s, and {server.name} was there"] += 1
    return [f"{count} × {what}" for what, count in sorted(found.items())]


async def settle(scene: Scene, deadline: float) -> list[str]:
    """Waits until all holds, orders and jobs that are due have ended; returns those that have not in time."""
    while True:
        await asyncio.sleep(0.25)
        try:
            left = (await asyncio.to_thread(scene.sql, """
                select 'hold ' || id || ' of product ' || product_id || ' is active, until ' || expires_at
                from holds where status = 'active'
                union all
                select 'order ' || id || ' of product ' || product_id || ' is unpaid, due ' || payment_due_at
                from orders where status = 'pending_payment'
                union all
                select 'job ' || kind || ' of product ' || product_id || ' is due ' || run_at
                from scheduled_jobs where run_at < clock_timestamp() - interval '1 second'
                limit 20""")).splitlines()
        except HarnessError as error:
            left = [str(error)]
        if not left or time.monotonic() > deadline:
            return [f"stuck after the last fault: {line}" for line in left]


async def delivered(scene: Scene) -> list[str]:
    """Waits until no event is left to be delivered; returns how many are, if some are left in the end.

    A failed delivery would be tried again in hours, and that of a server that was killed half a minute after its claim.
    Here both come at once. A delivery that is still under way was claimed in the last five seconds.
    """
    deadline = time.monotonic() + DELIVERS_WITHIN
    while True:
        # The locks are taken in the order of record_deliveries.
        left, pending = (await asyncio.to_thread(scene.sql, """
            update webhook_endpoints set probe_at = null where probe_at is not null;
            update deliveries set next_at = clock_timestamp()
            where status = 'pending' and next_at > clock_timestamp()
              and (lease_id is null or next_at < clock_timestamp() + interval '25 seconds');
            select (select count(*) from event_batches), (select count(*) from deliveries where status = 'pending')
            """)).split("|")
        if (left, pending) == ("0", "0"):
            return []
        if time.monotonic() > deadline:
            return [f"{left} batches of events and {pending} deliveries are left after {DELIVERS_WITHIN:.0f} s"]
        await asyncio.sleep(0.25)


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
        with suppress(HarnessError):
            await asyncio.to_thread(sql, url, statements)
        await asyncio.sleep(0.5)


def print_calls(history: History) -> None:
    slowest = max((call.end_monotonic - call.start_monotonic for call in history.calls), default=0.0)
    print(f"{len(history.calls):,} calls, the slowest took {slowest:.2f} s:")
    for (operation, word), count in sorted(Counter((call.operation, call.word) for call in history.calls).items()):
        print(f"  {operation:10}  {word:28}  {count:9,}")
