"""`--attack`: honest buyers while attackers do their worst.

Attackers use the CPU of the server's machine, and the server is not to blame for that. So the honest rate is measured
three times: (a) alone, (b) while the same attack goes against another server, and (c) under attack.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from harness.output import Spread, table, tell
from harness.processes import answers, running
from harness.services import Server, Services, create_product, sql
from harness.wrk import Sample, wrk

from .processes import beside, wait_for

ATTACKER = Path(__file__).with_name("attacker.py")
PARTS = {  # how many of each: connections, requests a second, connections, (as many as possible), connections
    "slow": 5_000, "malformed": 1_000, "pipelining": 12, "connects": 0, "readers": 10_000,
}
CROWDS = ("slow", "readers")
# The sale goes on beside these. The other parts take all of two cores, whichever process they are aimed at. Then the
# server only has to bound its memory and descriptors, and to be as before afterwards.
BEARABLE = ("slow", "malformed")
RAMP_UP = 20  # seconds at most until crowds are there
SLICES = 3  # of each, in turns, so that other work on the machine disturbs all of them alike
LEAST_SIZE = 0.95  # of an attack, of what it should be
LEAST_RATIO = 0.5  # of the honest rate alone that is left under attack
LEAST_AFTERWARDS = 0.8
MOST_MEMORY_MB = 400
MOST_MEMORY_MB_OF_ALL = 800  # 15,000 connections, two thirds of which are streams
MOST_FAULTS = 0.01  # of honest requests
SPARE_DESCRIPTORS = 5_000  # beyond the connections that attackers keep open: the queue of the kernel holds 4,096
POOL = 8  # connections to the database, which may not all be there from the start
GONE_WITHIN = 15  # seconds after the attack

ALONE, ELSEWHERE, ATTACKED, AFTERWARDS = "(a) alone", "(b) another is attacked", "(c) attacked", "afterwards"


@dataclass
class Seen:
    """The measurements of all slices of one kind."""

    rates: list[float] = field(default_factory=list)  # of honest holds, per second
    held: int = 0
    samples: list[Sample] = field(default_factory=list)  # wrk's, with the time in which the attack began
    newcomers: list[float | None] = field(default_factory=list)  # seconds from a new connection to its response
    memory_mb: float = 0  # of the server, at most
    descriptors: int = 0  # at most
    told: dict[str, Counter[str]] = field(default_factory=dict)  # by attackers, by part
    gone: list[float | None] = field(default_factory=list)  # seconds until the attackers' connections were

    def ratio(self, alone: "Seen") -> Spread:
        """Of the rates, slice by slice."""
        return Spread.of([mine / other for mine, other in zip(self.rates, alone.rates, strict=True)])

    def cells(self, alone: "Seen") -> list[str]:
        p99, ratio = Spread.of([sample.latencies["p99"] for sample in self.samples]).median, self.ratio(alone)
        served = [seconds for seconds in self.newcomers if seconds is not None]
        return [
            f"{Spread.of(self.rates).median:,.0f}", f"{ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})",
            f"{p99:.1f}", str(sum(sample.faults for sample in self.samples)), f"{len(served)} of {len(self.newcomers)}",
            f"{1000 * max(served, default=0):.0f}", f"{self.memory_mb:.0f}", f"{self.descriptors:,}"]


async def sell(
    server: Server, product: int, seconds: float, seen: Seen, attack: AbstractContextManager[None]
) -> None:
    """Measures honest buyers for so many seconds, once the attack has its full size."""
    def stock() -> int:
        """Nothing lapses, so the units that are missing are held."""
        return int(sql(server.database_url, f"select available_stock from products where id = {product}"))

    async def come_anew() -> None:
        """One buyer after the other, each with a connection of its own."""
        while True:
            start = time.monotonic()
            is_served = await asyncio.to_thread(answers, server.port, f"/api/products/{product}")
            seen.newcomers.append(time.monotonic() - start if is_served else None)
            await asyncio.sleep(0.1)

    async def watch() -> None:
        """Looks at the server's process four times a second."""
        while True:
            seen.memory_mb = max(seen.memory_mb, server.memory_mb()[1])
            seen.descriptors = max(seen.descriptors, server.descriptors())
            await asyncio.sleep(0.25)

    start, over = stock(), threading.Event()
    buying = asyncio.create_task(asyncio.to_thread(
        wrk, f"{server.url}/api/holds", 600, "holds.lua", until=over, PRODUCT=product))
    try:
        await asyncio.to_thread(wait_for, lambda: stock() < start, 30, "a first hold", 0.1)
        with attack:
            async with beside(watch(), come_anew()):
                # wrk began before the attack had its full size, so the stock tells how many units were held since.
                before, began = await asyncio.to_thread(stock), time.monotonic()
                await asyncio.sleep(seconds)
                held, took = before - await asyncio.to_thread(stock), time.monotonic() - began
    finally:
        over.set()
        seen.samples.append(await buying)
    seen.rates.append(held / took)
    seen.held += held


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        return [f"no such part of the attack: {', '.join(sorted(unknown))}"]
    with Services(work) as services:
        url, elsewhere = services.database("sale"), services.database("elsewhere")
        product, other_product = create_product(url), create_product(elsewhere)
        server, other = services.server(url), services.server(elsewhere)
        idle = server.descriptors() + POOL
        wrk(f"{server.url}/api/holds", 2, "holds.lua", PRODUCT=product)
        seen = {name: Seen() for name in (ALONE, ELSEWHERE, ATTACKED, AFTERWARDS)}
        for number in range(1, SLICES + 1):
            for name, one in seen.items():
                tell(f"{number} of {SLICES}: {name}")
                attack: AbstractContextManager[None] = nullcontext()
                if name == ELSEWHERE:
                    attack = attacking(parts, other, other_product, work, one)
                elif name == ATTACKED:
                    attack = attacking(parts, server, product, work, one)
                elif name == AFTERWARDS:
                    one.gone.append(seconds_until_gone(server, idle))
                await sell(server, product, options.seconds / SLICES, one, attack)
        audits = [f"audit of {name}: {complaint}" for name, complaint in services.audits().items() if complaint]
    print(table(
        ["honest buyers", "per second", "÷ (a)", "p99 ms", "faults", "newcomers served", "in ms, most", "server MB",
         "descriptors"],
        [[name, *one.cells(seen[ALONE])] for name, one in seen.items()]))
    print("Attackers of the server:")
    for part, counts in seen[ATTACKED].told.items():
        print(f"  {part}: {', '.join(f'{what} {count:,.0f}' for what, count in sorted(counts.items()))}")
    print(f"Its descriptors were as before after seconds (None: not again): {seen[AFTERWARDS].gone}")
    return [*judge(seen, parts, idle), *audits]


def judge(seen: dict[str, Seen], parts: Sequence[str], idle: int) -> Iterator[str]:
    """The violations. `idle` is the number of descriptors without connections."""
    attacked = seen[ATTACKED]
    least_ratios, most_memory = {AFTERWARDS: LEAST_AFTERWARDS}, MOST_MEMORY_MB_OF_ALL
    if set(parts) <= set(BEARABLE):
        least_ratios[ATTACKED], most_memory = LEAST_RATIO, MOST_MEMORY_MB
        if turned_away := attacked.newcomers.count(None):
            yield f"{turned_away} of {len(attacked.newcomers)} who came anew under attack were not served"
        told = attacked.told.get("malformed")
        if told and told["connected"] < LEAST_SIZE * PARTS["malformed"] * told["seconds"]:
            yield f"only {told['connected'] / told['seconds']:,.0f} malformed requests a second were sent"
    for name, least in least_ratios.items():
        if (ratio := seen[name].ratio(seen[ALONE]).median) < least:
            yield f"{name}: {ratio:.2f} of the honest rate is left, less than {least}"
    faults = sum(one.faults for one in attacked.samples)
    if faults > MOST_FAULTS * attacked.held:
        yield f"{faults:,} honest requests had no proper answer under attack, {attacked.held:,} had one"
    if attacked.memory_mb > most_memory:
        yield f"{attacked.memory_mb:.0f} MB were resident, over {most_memory} MB"
    most = idle + 64 + sum(PARTS[part] for part in parts if part != "malformed") + SPARE_DESCRIPTORS
    if attacked.descriptors > most:
        yield f"{attacked.descriptors:,} descriptors were open, over {most:,}"
    if None in seen[AFTERWARDS].gone:
        yield f"more descriptors than before were open {GONE_WITHIN} s after an attack"
    for part, counts in attacked.told.items():
        yield from (f"{part}: {count} {what}" for what, count in counts.items() if what.startswith("unexpected"))


def attacker(part: str, target: Server, product: int, count: int, log: Path) -> AbstractContextManager[object]:
    """Runs a process of `attacker.py` until the end of the block."""
    return running(sys.executable, ATTACKER, part, str(target.port), str(product), str(count), log=log)


@contextmanager
def attacking(parts: Sequence[str], target: Server, product: int, work: Path, seen: Seen) -> Iterator[None]:
    """The attack, at its full size when the block begins."""
    logs = {part: work / f"attack-{part}.log" for part in parts}
    crowd = sum(PARTS[part] for part in parts if part in CROWDS)
    with ExitStack() as stack:
        # Crowds come first: parts that connect as fast as possible would keep them out.
        for is_crowd in (True, False):
            for part in (part for part in parts if (part in CROWDS) == is_crowd):
                stack.enter_context(attacker(part, target, product, PARTS[part], logs[part]))
            # Listing thousands of descriptors takes CPU from the server, so not too often.
            wait_for(lambda: target.descriptors() > LEAST_SIZE * crowd, RAMP_UP, f"{crowd:,} connections", pause=0.1)
        yield
    for part, log in logs.items():
        lines = log.read_text(errors="replace").strip().splitlines()
        counts = seen.told.setdefault(part, Counter())
        try:
            counts.update(json.loads(lines[-1]))
        except (ValueError, IndexError):
            counts[f"unexpected end: {lines[-1] if lines else 'without a word'}"] += 1


def seconds_until_gone(server: Server, idle: int) -> float | None:
    """Until there are no more descriptors than this for a second. The kernel's queue empties late."""
    start = last = time.monotonic()
    while last > time.monotonic() - 1:
        if server.descriptors() > idle:
            last = time.monotonic()
        if last > start + GONE_WITHIN:
            return None
        time.sleep(0.05)
    return round(last - start, 1)
