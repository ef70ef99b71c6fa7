"""Random faults under load. Then the history must be linearizable, and all holds and orders settled."""

import argparse
import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from harness.processes import HarnessError

from . import faults
from .client import Client
from .history import History
from .scene import staged
from .trial import SETTLES_WITHIN, Trial

SUMMARY = "two servers and their PostgreSQL under random faults, one after the other"

# Seconds in which service has to return by itself after a fault. In the worst case a statement and a connection are given
# up first, and a probe has to ask again.
RETURNS_WITHIN = 8.0

PRODUCTS = 5
ALL_KINDS_WITHIN = 5.0  # minutes


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--minutes", type=float, default=30, help="of load (default: 30)")
    group.add_argument("--clients", type=int, default=20)
    group.add_argument("--rate", type=float, default=200, help="calls a second, of all clients (default: 200)")
    group.add_argument("--only", default="", help="only faults whose names contain one of these, with commas")


@dataclass
class Episode:
    """A fault as it happened. Times are of the monotonic clock."""

    name: str
    begin: float
    end: float
    outages: list[float]  # for each server: the longest time that it sold nothing, from the fault until it did again


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    return asyncio.run(run_chaos(options, work))


async def run_chaos(options: argparse.Namespace, work: Path) -> list[str]:
    async with staged(work) as scene:
        chosen = options.only.split(",")
        possible = {name: fault for name, fault in faults.possible(scene).items() if any(part in name for part in chosen)}
        if not possible:
            raise HarnessError(f"no fault that is possible here has a name with {options.only} in it")
        # Enough that not everything is refused, and little enough that it runs out towards the end.
        stocks = await asyncio.to_thread(scene.add_products, PRODUCTS, 500 + int(options.minutes * 600))
        trial = Trial(scene, stocks, options.rate, options.clients, options.seed)
        probes = [Probe(server, scene.ports, min(stocks), trial.history) for server in range(len(scene.servers))]
        trial.start()
        tasks = [asyncio.create_task(probe.run()) for probe in probes]
        episodes = await break_things(
            trial, probes, possible, random.Random(options.seed), options.minutes * 60 - SETTLES_WITHIN)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Buyers went on until now, unless the last fault ended after the deadline.
        await trial.finish(episodes[-1].end if trial.shop.is_settling else None)
        if not episodes:
            trial.violations.append("there was no time for a fault")
        if options.minutes >= ALL_KINDS_WITHIN and not options.only:
            happened = {episode.name for episode in episodes}
            trial.violations += [f"{name}: did not happen" for name in faults.FAULTS if name not in happened]
    print_episodes(episodes)
    return trial.violations


class Probe:
    """Holds a unit again and again. That needs a server, its network and its database."""

    PAUSE = 0.1       # seconds between calls: what is shorter is not seen
    PATIENCE = 1.0    # seconds

    def __init__(self, server: int, ports: list[int], product: int, history: History) -> None:
        self._client = Client(-1 - server, ports, history, self.PATIENCE)
        self._server, self._product = server, product
        self.answered: list[float] = []  # monotonic times

    async def run(self) -> None:
        try:
            for count in itertools.count(1):
                call = await self._client.call("hold", self._product, {
                    "product_id": self._product, "quantity": 1, "customer_id": f"probe-{self._server}-{count}"}, self._server)
                if call.status == 201:
                    self.answered.append(call.end_monotonic)
                await asyncio.sleep(self.PAUSE)
        finally:
            self._client.close()

    def outage(self, begin: float, end: float) -> float:
        """The longest time without a hold that overlaps with this one."""
        before = [time for time in self.answered if time < begin]
        times = [before[-1] if before else begin, *(time for time in self.answered if begin <= time <= end), end]
        return max(later - earlier for earlier, later in zip(times, times[1:]))


async def are_served(probes: list[Probe], seconds: float) -> bool:
    """Whether every server grants a hold within this time."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if all(probe.answered and probe.answered[-1] > start for probe in probes):
            return True
        await asyncio.sleep(0.02)
    return False


async def break_things(
    trial: Trial, probes: list[Probe], possible: dict[str, faults.Fault], rng: random.Random, seconds: float
) -> list[Episode]:
    """One fault after the other until the deadline: all kinds in random order, then all again in another."""
    episodes: list[Episode] = []
    deck: list[str] = []
    deadline = time.monotonic() + seconds
    await asyncio.sleep(1)
    while time.monotonic() < deadline and possible:
        deck = deck or rng.sample(list(possible), len(possible))
        name = deck.pop()
        begin = time.monotonic()
        try:
            await possible[name](trial.scene, rng)
        except HarnessError as error:
            trial.violations.append(f"{name}: {error}")
            break
        end = time.monotonic()
        if end >= deadline:  # the last one, after which everything has to run out
            trial.shop.is_settling = True
        if not await are_served(probes, RETURNS_WITHIN):
            trial.violations.append(
                f"{name}: a server sold nothing in the {RETURNS_WITHIN:.0f} s after the fault had ended")
        episodes.append(Episode(name, begin, end, [probe.outage(begin, time.monotonic()) for probe in probes]))
        await asyncio.sleep(rng.uniform(0, 0.8))
    return episodes


def print_episodes(episodes: list[Episode]) -> None:
    kinds: defaultdict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        kinds[episode.name].append(episode)
    print("faults, and the seconds without a sale: at the server where it was longest, and at all of them")
    print(f"  {'':26}  {'times':>5}  {'lasted':>6}  {'median':>6}  {'most':>6}  {'at all':>6}")
    for name, same in sorted(kinds.items()):
        longest = [max(episode.outages) for episode in same]
        lasted = statistics.median(episode.end - episode.begin for episode in same)
        print(f"  {name:26}  {len(same):5}  {lasted:6.2f}  {statistics.median(longest):6.2f}  {max(longest):6.2f}"
              f"  {max(min(episode.outages) for episode in same):6.2f}")
