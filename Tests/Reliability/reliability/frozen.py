"""`--frozen`: the network between server and database loses every packet for a while, and tells nobody."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.output import table, tell
from harness.processes import output_of
from harness.services import FLASHSALE, Server, Services, create_product, sql

from .buyers import Record, audit_of, compare, crowd, holds_of, lost
from .network import Drops, Network, network

SUMMARY = "the network to the database loses everything for a while, and tells nobody"

BUYERS = 50
FROZEN = 10  # seconds
BEFORE, AFTER = 2, 2  # seconds of undisturbed sale around it
ANSWER_WITHIN = 5  # seconds, whatever happens
RETURN_WITHIN = 5  # seconds after the network's return, for everybody


@dataclass(frozen=True)
class Scene:
    """What a scenario plays with."""

    net: Network
    server: Server
    product: int
    record: Record

    @asynccontextmanager
    async def buying(self) -> AsyncIterator[None]:
        """All buyers, who leave at the end with what they came for."""
        until = asyncio.Event()
        buyers = crowd(BUYERS, self.server.url, self.product, self.record, until)
        try:
            yield
        finally:
            until.set()
            await asyncio.gather(*buyers)

    async def returns(self, since: float) -> float | None:
        """Waits for the first hold after the moment; seconds since then, None if none came in time. And goes on until
        everybody should be served again."""
        self.record.returned_at = since
        while time.monotonic() < since + 60:
            first = self.record.first_hold_after(since)
            if first is not None:
                await asyncio.sleep(max(0, since + RETURN_WITHIN - time.monotonic()))
                return first - since
            await asyncio.sleep(0.02)
        return None


async def under_load(scene: Scene, drops: Drops) -> float | None:
    async with scene.buying():
        await asyncio.sleep(BEFORE)
        scene.net.freeze(drops)
        await asyncio.sleep(FROZEN)
        scene.net.thaw()
        returned = await scene.returns(time.monotonic())
        await asyncio.sleep(AFTER)
    return returned


async def both_ways(scene: Scene) -> float | None:
    return await under_load(scene, Drops.ALL)


async def replies(scene: Scene) -> float | None:
    return await under_load(scene, Drops.REPLIES)


async def while_idle(scene: Scene) -> float | None:
    """It begins while nobody asks, and buyers come in the middle of it."""
    async with scene.buying():
        await asyncio.sleep(BEFORE)
    scene.net.freeze(Drops.ALL)
    await asyncio.sleep(FROZEN / 2)
    async with scene.buying():
        await asyncio.sleep(FROZEN / 2)
        scene.net.thaw()
        returned = await scene.returns(time.monotonic())
        await asyncio.sleep(AFTER)
    return returned


async def idle_throughout(scene: Scene) -> float | None:
    """It is over when buyers come."""
    async with scene.buying():
        await asyncio.sleep(BEFORE)
    scene.net.freeze(Drops.ALL)
    await asyncio.sleep(FROZEN)
    scene.net.thaw()
    thawed = time.monotonic()
    async with scene.buying():
        returned = await scene.returns(thawed)
        await asyncio.sleep(AFTER)
    return returned


async def forgotten(scene: Scene) -> float | None:
    """A firewall has lost its table: nothing comes through of the connections that were idle, and all of new ones."""
    async with scene.buying():
        await asyncio.sleep(BEFORE)
    scene.net.forget()
    since = time.monotonic()
    async with scene.buying():
        returned = await scene.returns(since)
        await asyncio.sleep(AFTER)
    scene.net.thaw()
    return returned


SCENARIOS: dict[str, Callable[[Scene], Awaitable[float | None]]] = {
    "both ways, under load": both_ways,
    "replies alone, under load": replies,
    "begins while idle, buyers come in it": while_idle,
    "while idle, buyers come after it": idle_throughout,
    "idle connections are forgotten for good": forgotten,
}


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--by-proxy", action="store_true", help="do not try network namespaces")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Plays the scenarios, prints what was seen; returns what was other than promised."""
    violations: list[str] = []
    rows = []
    with network(work, options.by_proxy) as net, Services(work) as services:
        print(f"Faults by {net.kind}")
        for index, (name, scenario) in enumerate(SCENARIOS.items()):
            tell(name)
            direct = f"{net.direct_url}/frozen_{index}"
            sql(f"{net.direct_url}/postgres", f"create database frozen_{index}")
            output_of(FLASHSALE, "migrate", env={"DATABASE_URL": direct})
            product = create_product(direct)
            record = Record()
            with services.serving(f"{net.database_url}/frozen_{index}") as server:
                returned = asyncio.run(play(scenario, Scene(net, server, product, record)))
            rows.append([name, f"{len(record.asked):,}", f"{record.slowest():.2f}",
                         "never" if returned is None else f"{returned:.2f}",
                         ", ".join(f"{label}: {count:,}" for label, count in record.by_label().items())])
            violations += [f"{name}: {violation}" for violation in (
                *judge(record, returned), *compare(record, holds_of(direct)), *lost(record, direct),
                *audit_of(direct))]
    print(table(["the network is frozen", "requests", "slowest answer s", "first hold after s", "answers"], rows))
    return violations


async def play(scenario: Callable[[Scene], Awaitable[float | None]], scene: Scene) -> float | None:
    try:
        return await scenario(scene)
    finally:
        scene.net.thaw()


def judge(record: Record, returned: float | None) -> list[str]:
    """What was other than promised of the answers."""
    violations = []
    late = sum(answer.seconds > ANSWER_WITHIN for _, _, answer in record.asked)
    if late:
        violations.append(f"{late:,} of {len(record.asked):,} answers took longer than {ANSWER_WITHIN} s, "
                          f"the slowest {record.slowest():.2f} s")
    if returned is None or returned > RETURN_WITHIN:
        violations.append(f"service did not return within {RETURN_WITHIN} s")
    late = sum(at > (record.returned_at or at) + RETURN_WITHIN and not answer.is_success for at, _, answer in record.asked)
    if late:
        violations.append(f"{late:,} calls failed that began more than {RETURN_WITHIN} s after the network's return")
    unexpected = {label: count for label, count in record.by_label().items() if label[:3] not in ("200", "201", "503")}
    if unexpected:
        violations.append(f"unexpected answers: {unexpected}")
    return violations
