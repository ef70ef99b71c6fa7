"""`--attack`: honest buyers while attackers do their worst.

Attackers use the CPU of the machine that the server runs on, and the server is not to blame for that. So the honest rate
is measured three times: (a) alone, (b) while the same attack goes against another server, and (c) under attack.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from harness.output import Spread, table, tell
from harness.processes import HarnessError, answers, running
from harness.services import Server, Services, create_product, sql
from harness.wrk import Sample, wrk

from .mode import Mode
from .processes import stat_of, wait_for

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


ALONE, ELSEWHERE, ATTACKED, AFTERWARDS = (
    "(a) alone", "(b) another is attacked", "(c) attacked", "afterwards")


@dataclass
class Seen:
    """What was seen in all slices of one kind."""

    rates: list[float] = field(default_factory=list)  # of honest holds, per second
    held: int = 0
    samples: list[Sample] = field(default_factory=list)  # wrk's, with the time in which the attack began
    newcomers: list[float | None] = field(default_factory=list)  # seconds from a new connection to its response
    memory_mb: float = 0  # of the server, at most
    descriptors: int = 0  # at most
    cpu: float = 0  # seconds of the server's
    told: dict[str, Counter[str]] = field(default_factory=dict)  # by attackers, by part
    gone: list[float | None] = field(default_factory=list)  # seconds until the attackers' connections were

    def ratio(self, alone: "Seen") -> Spread:
        """Of the rates, slice by slice."""
        return Spread.of([mine / other for mine, other in zip(self.rates, alone.rates, strict=True)])

    def cells(self, alone: "Seen") -> list[str]:
        def median(percentile: str) -> str:
            return f"{Spread.of([sample.latencies[percentile] for sample in self.samples]).median:.1f}"

        ratio = self.ratio(alone)
        served = sorted(seconds for seconds in self.newcomers if seconds is not None)
        return [
            f"{Spread.of(self.rates).median:,.0f}", f"{ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})",
            median("p50"), median("p99"), str(sum(sample.faults for sample in self.samples)),
            f"{len(served)} of {len(self.newcomers)}",
            f"{1000 * served[len(served) // 2]:.0f} / {1000 * served[-1]:.0f}" if served else "-",
            f"{self.memory_mb:.0f}", f"{self.descriptors:,}", f"{self.cpu:.1f}",
            f"{sum(counts['cpu'] for counts in self.told.values()):.1f}",
        ]


@dataclass
class Sale:
    """Honest buyers of one product: those who were there before the attack, and some who come meanwhile."""

    server: Server
    product: int
    seconds: float

    def go_on(self, seen: Seen, attack: AbstractContextManager[None]) -> None:
        """Measures for so many seconds, once the attack has its full size."""
        samples: list[Sample] = []
        stop = threading.Event()
        newcomers = threading.Thread(target=self._newcomers, args=(seen, stop))
        buyers = threading.Thread(target=lambda: samples.append(wrk(
            f"{self.server.url}/api/holds", 600, "holds.lua", until=stop, PRODUCT=self.product)))
        start = self._stock()
        buyers.start()
        try:
            wait_for(lambda: self._stock() < start, 30, "a first hold", pause=0.1)
            with attack, watching(self.server, seen):
                newcomers.start()
                # wrk began before the attack had its full size, so the stock tells how many units were held since.
                stock, began = self._stock(), time.monotonic()
                time.sleep(self.seconds)
                held, took = stock - self._stock(), time.monotonic() - began
                stop.set()
                buyers.join()
                newcomers.join()
        finally:
            stop.set()
            buyers.join()
        seen.rates.append(held / took)
        seen.held += held
        if not samples:
            raise HarnessError("the sale could not be measured")
        seen.samples.append(samples[0])

    def _stock(self) -> int:
        """Nothing lapses, so the units that are missing are held."""
        return int(sql(self.server.database_url, f"select available_stock from products where id = {self.product}"))

    def _newcomers(self, seen: Seen, stop: threading.Event) -> None:
        """One after the other, each with a connection of its own."""
        port = int(self.server.url.rpartition(":")[2])
        while not stop.wait(0.1):
            start = time.monotonic()
            is_served = answers(port, f"/api/products/{self.product}")
            seen.newcomers.append(time.monotonic() - start if is_served else None)


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Attacks, prints what was seen; returns what was other than promised."""
    parts = options.parts.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        return [f"no such part of the attack: {', '.join(sorted(unknown))}"]
    with Services(work) as services:
        url, elsewhere = services.database("sale"), services.database("elsewhere")
        product, other_product = create_product(url), create_product(elsewhere)
        server, other = services.server(url), services.server(elsewhere)

        sale = Sale(server, product, options.seconds / SLICES)
        idle = server.descriptors() + POOL
        wrk(f"{server.url}/api/holds", 2, "holds.lua", PRODUCT=product)
        seen = {name: Seen() for name in (ALONE, ELSEWHERE, ATTACKED, AFTERWARDS)}
        for number in range(1, SLICES + 1):
            tell(f"{number} of {SLICES}: {ALONE}")
            sale.go_on(seen[ALONE], nullcontext())
            for name, target, at in ((ELSEWHERE, other, other_product), (ATTACKED, server, product)):
                tell(f"{number} of {SLICES}: {name}")
                sale.go_on(seen[name], attacking(parts, target, at, work, seen[name]))
            tell(f"{number} of {SLICES}: {AFTERWARDS}")
            seen[AFTERWARDS].gone.append(seconds_until_gone(server, idle))
            sale.go_on(seen[AFTERWARDS], nullcontext())
        audits = services.audits()

    print_page(seen)
    return judge(seen, parts, idle) + [f"audit of {name}: {complaint}" for name, complaint in audits.items() if complaint]


def judge(seen: dict[str, Seen], parts: Sequence[str], idle: int) -> list[str]:
    """What was other than promised. `idle` is the number of descriptors without connections."""
    violations = []
    attacked = seen[ATTACKED]
    least_ratios = {AFTERWARDS: LEAST_AFTERWARDS}
    most_memory = MOST_MEMORY_MB_OF_ALL
    if set(parts) <= set(BEARABLE):
        least_ratios[ATTACKED] = LEAST_RATIO
        most_memory = MOST_MEMORY_MB
        turned_away = attacked.newcomers.count(None)
        if turned_away:
            violations.append(f"{turned_away} of {len(attacked.newcomers)} who came anew under attack were not served")
        for part, told in attacked.told.items():
            if part == "malformed" and told["requests sent"] < LEAST_SIZE * PARTS[part] * told["seconds"]:
                violations.append(
                    f"only {told['requests sent'] / told['seconds']:,.0f} malformed requests a second were sent")
    for name, least in least_ratios.items():
        ratio = seen[name].ratio(seen[ALONE]).median
        if ratio < least:
            violations.append(f"{name}: {ratio:.2f} of the honest rate is left, less than {least}")
    faults = sum(one.faults for one in attacked.samples)
    if faults > MOST_FAULTS * attacked.held:
        violations.append(f"{faults:,} honest requests had no proper answer under attack, {attacked.held:,} had one")
    if attacked.memory_mb > most_memory:
        violations.append(f"{attacked.memory_mb:.0f} MB were resident, over {most_memory} MB")
    most = idle + 64 + sum(PARTS[part] for part in parts if part != "malformed") + SPARE_DESCRIPTORS
    if attacked.descriptors > most:
        violations.append(f"{attacked.descriptors:,} descriptors were open, over {most:,}")
    if None in seen[AFTERWARDS].gone:
        violations.append(f"more descriptors than before were open {GONE_WITHIN} s after an attack")
    return violations + [f"{part}: {count} {what}" for part, counts in attacked.told.items()
                         for what, count in counts.items() if what.startswith("unexpected")]


def print_page(seen: dict[str, Seen]) -> None:
    print(table(
        ["honest buyers", "per second", "÷ (a)", "p50 ms", "p99 ms", "faults", "newcomers served", "in ms: p50 / most",
         "server MB", "descriptors", "server CPU s", "attack CPU s"],
        [[name, *one.cells(seen[ALONE])] for name, one in seen.items()]))
    print("Attackers of the server:")
    for part, counts in seen[ATTACKED].told.items():
        print(f"  {part}: {', '.join(f'{what} {count:,.0f}' for what, count in sorted(counts.items()))}")
        if part == "connects":
            print(f"    {counts['connected'] / counts['seconds']:,.0f} a second")
    print("Its descriptors were as before after seconds: " + ", ".join(
        "(not again)" if gone is None else f"{gone:.1f}" for gone in seen[AFTERWARDS].gone))


@contextmanager
def attacking(parts: Sequence[str], target: Server, product: int, work: Path, seen: Seen) -> Iterator[None]:
    """The attack, at its full size when the block begins."""
    host, port = target.url.removeprefix("http://").split(":")
    logs = {part: work / f"attack-{part}.log" for part in parts}
    with ExitStack() as stack:
        # Crowds come first: parts that connect as fast as possible would keep them out.
        for is_crowd in (True, False):
            for part in parts:
                if (part in CROWDS) == is_crowd:
                    stack.enter_context(running(
                        sys.executable, ATTACKER, part, host, port, str(product), str(PARTS[part]), log=logs[part]))
            if is_crowd:
                crowd = sum(PARTS[part] for part in parts if part in CROWDS)
                # Listing thousands of descriptors takes CPU from the server, so not too often.
                wait_for(lambda: target.descriptors() > LEAST_SIZE * crowd, RAMP_UP, f"{crowd:,} connections", pause=0.1)
        yield
    for part, log in logs.items():
        lines = log.read_text(errors="replace").strip().splitlines()
        try:
            told = json.loads(lines[-1])
        except (ValueError, IndexError):
            told = {f"unexpected end: {lines[-1] if lines else 'without a word'}": 1}
        counts = seen.told.setdefault(part, Counter())
        most = max(counts["open at most"], told.pop("open at most", 0))
        counts.update(told)
        if part in CROWDS:
            counts["open at most"] = most


@contextmanager
def watching(server: Server, seen: Seen) -> Iterator[None]:
    """Looks at a server's process four times a second, in a thread."""
    over = threading.Event()
    start = cpu_seconds(server)

    def watch() -> None:
        while True:
            seen.memory_mb = max(seen.memory_mb, server.memory_mb()[1])
            seen.descriptors = max(seen.descriptors, server.descriptors())
            if over.wait(0.25):
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        seen.cpu += cpu_seconds(server) - start


def seconds_until_gone(server: Server, idle: int) -> float | None:
    """Until there are no more descriptors than this for a second. The kernel's queue empties late."""
    start = last = time.monotonic()
    while last > time.monotonic() - 1:
        if server.descriptors() > idle:
            last = time.monotonic()
        if last > start + GONE_WITHIN:
            return None
        time.sleep(0.05)
    return last - start


def cpu_seconds(server: Server) -> float:
    fields = stat_of(server.pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


MODE = Mode("slow, malformed, pipelined and very many connections while honest buyers go on", run, {
    "--seconds": {"type": float, "default": 30, "help": "for each of (a), (b) and (c) (default: 30)"},
    "--parts": {"default": ",".join(BEARABLE), "help": f"of the attack: {','.join(PARTS)} (default: {','.join(BEARABLE)})"},
})
