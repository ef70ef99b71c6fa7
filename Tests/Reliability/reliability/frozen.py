"""`--frozen`: the network between server and database loses every packet for a while, and tells nobody."""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from harness.output import table, tell
from harness.services import NOTHING_LAPSES, create_product

from .crowd import Crowd
from .history import History
from .network import Firewall, Proxy, network
from .postgres import Postgres, postgres
from .processes import Server
from .shop import Shop
from .trial import HISTORY, judge, unanswered

SUMMARY = "the network to the database loses everything for a while, and tells nobody"

BUYERS = 50
RATE = 400  # calls a second, of all buyers
BEFORE, AFTER = 2, 2  # seconds of undisturbed sale around it
RETURN_WITHIN = 5  # seconds after the network's return, for everybody


@dataclass
class Sale:
    """A server, its network and its buyers."""

    net: Proxy | Firewall
    port: int
    product: int
    seed: int
    frozen: float  # seconds
    history: History
    returned_at: float = 0.0           # when the network was back
    served_after: float | None = None  # seconds, from then to the first hold

    def crowd(self) -> Crowd:
        return Crowd(Shop([self.product], RATE), BUYERS, [self.port], self.history, self.seed)

    async def returns(self, since: float) -> None:
        """Waits for the first hold after the moment, and then until every buyer should be served again."""
        self.returned_at = since
        while self.served_after is None and time.monotonic() < since + 60:
            await asyncio.sleep(0.02)
            self.served_after = min((call.end_monotonic - since for call in self.history.calls if call.operation == "hold"
                                     and call.status == 201 and call.end_monotonic > since), default=None)
        await asyncio.sleep(max(0, since + RETURN_WITHIN - time.monotonic()) + AFTER)


async def under_load(sale: Sale, replies_only: bool) -> None:
    async with sale.crowd():
        await asyncio.sleep(BEFORE)
        sale.net.freeze(replies_only)
        await asyncio.sleep(sale.frozen)
        sale.net.thaw()
        await sale.returns(time.monotonic())


async def both_ways(sale: Sale) -> None:
    await under_load(sale, replies_only=False)


async def replies(sale: Sale) -> None:
    await under_load(sale, replies_only=True)


async def while_idle(sale: Sale) -> None:
    """It begins while nobody asks, and buyers come in the middle of it."""
    async with sale.crowd():
        await asyncio.sleep(BEFORE)
    sale.net.freeze()
    await asyncio.sleep(sale.frozen / 2)
    async with sale.crowd():
        await asyncio.sleep(sale.frozen / 2)
        sale.net.thaw()
        await sale.returns(time.monotonic())


async def idle_throughout(sale: Sale) -> None:
    """It is over when buyers come."""
    async with sale.crowd():
        await asyncio.sleep(BEFORE)
    sale.net.freeze()
    await asyncio.sleep(sale.frozen)
    sale.net.thaw()
    thawed = time.monotonic()
    async with sale.crowd():
        await sale.returns(thawed)


async def forgotten(sale: Sale) -> None:
    """A firewall has lost its table: it drops the packets of the connections that exist, and passes new ones."""
    async with sale.crowd():
        await asyncio.sleep(BEFORE)
    sale.net.forget()
    since = time.monotonic()
    async with sale.crowd():
        await sale.returns(since)


SCENARIOS: dict[str, Callable[[Sale], Awaitable[None]]] = {
    "both ways, under load": both_ways,
    "replies alone, under load": replies,
    "begins while idle, buyers come in it": while_idle,
    "while idle, buyers come after it": idle_throughout,
    "idle connections are forgotten for good": forgotten,
}


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--by-proxy", action="store_true", help="do not try to drop packets")
    group.add_argument("--frozen-seconds", type=float, default=10, help="(default: 10)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Plays the scenarios, prints what was seen; returns what was other than promised."""
    with postgres(work) as database:
        return asyncio.run(play_all(database, options, work))


async def play_all(database: Postgres, options: argparse.Namespace, work: Path) -> list[str]:
    violations: list[str] = []
    rows = []
    for index, (name, scenario) in enumerate(SCENARIOS.items()):
        tell(name)
        url = database.socket_url(f"frozen_{index}")  # by a way that is never disturbed
        await asyncio.to_thread(database.add, f"frozen_{index}")
        folder = work / str(index)
        folder.mkdir()
        net = network(database.port, options.by_proxy)
        await net.open()
        server = Server(0, folder, database.url_at(net.port, f"frozen_{index}"), NOTHING_LAPSES)
        history = History(folder / HISTORY)
        try:
            await server.serve_soon()
            sale = Sale(net, server.port, create_product(url), options.seed, options.frozen_seconds, history)
            await scenario(sale)
        finally:
            net.thaw()
            await asyncio.to_thread(server.end)
            await net.close()
            history.close()
        slowest = max(call.end_monotonic - call.start_monotonic for call in history.calls)
        words = Counter(call.word for call in history.calls)
        rows.append([name, f"{len(history.calls):,}", f"{slowest:.2f}",
                     "never" if sale.served_after is None else f"{sale.served_after:.2f}",
                     ", ".join(f"{word}: {count:,}" for word, count in sorted(words.items()))])
        violations += [f"{name}: {violation}" for violation in (
            *service(history, sale.returned_at, sale.served_after), *unanswered(history, [server]),
            *await asyncio.to_thread(judge, history, url, folder))]
    print(f"Faults by {net.kind}")
    print(table(["the network is frozen", "requests", "slowest answer s", "first hold after s", "answers"], rows))
    return violations


def service(history: History, returned_at: float, served_after: float | None) -> list[str]:
    """How service after the network's return differs from what is promised."""
    violations = []
    if served_after is None or served_after > RETURN_WITHIN:
        violations.append(f"service did not return within {RETURN_WITHIN} s")
    late = sum(call.start_monotonic > returned_at + RETURN_WITHIN and not 200 <= call.status < 500 for call in history.calls)
    if late:
        violations.append(f"{late:,} calls failed that began more than {RETURN_WITHIN} s after the network's return")
    return violations
