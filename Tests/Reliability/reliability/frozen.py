"""`--frozen`: the network between server and database loses every packet for a while and reports no error."""

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.output import table, tell
from harness.services import NOTHING_LAPSES

from .history import History
from .mode import Mode
from .network import Firewall, Proxy, network
from .postgres import Postgres, postgres
from .processes import Server, serving
from .trial import Sale, unanswered

BUYERS = 50
RATE = 400  # calls a second, of all buyers
BEFORE, AFTER = 2, 2  # seconds of undisturbed sale around it
RETURN_WITHIN = 5  # seconds after the network's return, for all buyers


@dataclass(frozen=True)
class Scenario:
    name: str
    # The part of the time in which no buyer calls. Then other buyers come. None: the buyers stay all the time.
    idle: float | None = None
    replies_only: bool = False
    # A firewall has lost its table: it drops the packets of existing connections for good, and passes new ones.
    is_forgetting: bool = False

    async def play(self, sale: Sale, port: int, net: Proxy | Firewall, frozen: float) -> tuple[float, float | None]:
        """Returns when the network was back, and the seconds from then to the first hold."""
        async with sale.crowd(port):
            await asyncio.sleep(BEFORE)
            if self.idle is None:
                net.freeze(self.replies_only)
                await asyncio.sleep(frozen)
                net.thaw()
                return await returned(sale.history)
        if self.is_forgetting:
            net.forget()
        else:
            net.freeze()
            await asyncio.sleep(frozen * self.idle)
        async with sale.crowd(port):
            if not self.is_forgetting:
                await asyncio.sleep(frozen * (1 - self.idle))
                net.thaw()
            return await returned(sale.history)


SCENARIOS = (
    Scenario("both ways, under load"),
    Scenario("replies alone, under load", replies_only=True),
    Scenario("begins while idle, buyers come in it", idle=0.5),
    Scenario("while idle, buyers come after it", idle=1),
    Scenario("idle connections are forgotten for good", idle=1, is_forgetting=True),
)


async def returned(history: History) -> tuple[float, float | None]:
    """Waits for the first hold from now on, and then until every buyer should be served again."""
    since, served_after = time.monotonic(), None
    while served_after is None and time.monotonic() < since + 60:
        await asyncio.sleep(0.02)
        served_after = min((call.end_monotonic - since for call in history.calls if call.operation == "hold"
                            and call.status == 201 and call.end_monotonic > since), default=None)
    await asyncio.sleep(max(0, since + RETURN_WITHIN - time.monotonic()) + AFTER)
    return since, served_after


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    violations: list[str] = []
    rows = []
    with postgres(work) as database:
        for index, scenario in enumerate(SCENARIOS):
            tell(scenario.name)
            name, folder = f"frozen_{index}", work / str(index)
            folder.mkdir()
            # The harness uses the socket, which is never disturbed.
            sale = Sale(folder, database.add(name), RATE, BUYERS, options.seed)
            async with network(database.port) as net:
                server = Server(0, folder, database.url(name, net.port), NOTHING_LAPSES)
                try:
                    async with serving(server):
                        returned_at, served_after = await scenario.play(sale, server.port, net, options.frozen_seconds)
                finally:
                    net.thaw()
            calls = sale.history.calls
            words = Counter(call.word for call in calls)
            rows.append([
                scenario.name, f"{len(calls):,}", f"{max(call.end_monotonic - call.start_monotonic for call in calls):.2f}",
                "never" if served_after is None else f"{served_after:.2f}",
                ", ".join(f"{word}: {count:,}" for word, count in sorted(words.items()))])
            violations += [f"{scenario.name}: {violation}" for violation in (
                *service(sale.history, returned_at, served_after), *unanswered(sale.history, [server]),
                *await sale.judge())]
    print(table(["the network is frozen", "requests", "slowest answer s", "first hold after s", "answers"], rows))
    return violations


def service(history: History, returned_at: float, served_after: float | None) -> list[str]:
    """How service after the network's return differs from what is promised."""
    violations = []
    if served_after is None or served_after > RETURN_WITHIN:
        violations.append(f"service did not return within {RETURN_WITHIN} s")
    if late := sum(call.start_monotonic > returned_at + RETURN_WITHIN and not 200 <= call.status < 500
                   for call in history.calls):
        violations.append(f"{late:,} calls failed that began more than {RETURN_WITHIN} s after the network's return")
    return violations


MODE = Mode("the network to the database loses every packet for a while and reports no error", run, {
    "--frozen-seconds": {"type": float, "default": 10, "help": "(default: 10)"}})
