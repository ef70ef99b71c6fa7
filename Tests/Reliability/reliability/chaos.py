"""`--chaos` and `--crashes`: faults under load, one after the other. Every response must be true, and all holds and orders
must settle."""

import argparse
import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.output import table
from harness.processes import HarnessError

from . import faults
from .client import Client
from .history import History
from .mode import Mode
from .processes import Server
from .scene import ORDER_TTL, Scene, staged
from .shop import Shop
from .trial import SETTLES_WITHIN, Trial

# Seconds in which service has to return by itself after a fault. In the worst case a statement and a connection are given
# up first, and a probe has to ask again.
RETURNS_WITHIN = 8.0
PRODUCTS = 5
SCARCE_STOCK = 40
ALL_KINDS_WITHIN = 5.0  # minutes
# After a crash: from when PostgreSQL accepts connections, and from when a server is started.
READY_WITHIN = 2.0   # seconds
# Load between two crashes.
PAUSE = (0.2, 0.6)   # seconds


def trial_of(scene: Scene, stock: int, rate: float, clients: int, seed: int) -> Trial:
    """`rate` is in calls a second, of all clients."""
    stocks = scene.add_products(PRODUCTS, stock, SCARCE_STOCK)
    scarce = max(stocks)
    return Trial(scene, Shop(list(stocks), rate, ORDER_TTL, too_many=stock + 1, payable={scarce: SCARCE_STOCK // 2}), clients, seed)


@dataclass
class Episode:
    """A fault as it happened. Times are of the monotonic clock."""

    name: str
    begin: float
    end: float
    outages: list[float]  # for each server: the longest time that it sold nothing, from the fault until it did again


async def run_chaos(options: argparse.Namespace, work: Path) -> list[str]:
    async with staged(work) as scene:
        chosen = options.only.split(",")
        possible = {name: fault for name, fault in faults.possible(scene).items() if any(part in name for part in chosen)}
        if not possible:
            raise HarnessError(f"no fault that is possible here has a name with {options.only} in it")
        # The stock is enough for most buyers, and runs out towards the end.
        trial = trial_of(scene, 500 + int(options.minutes * 600), options.rate, options.clients, options.seed)
        probes = [Probe(server, scene.ports, min(trial.shop.products), trial.history) for server in range(len(scene.servers))]
        await trial.start()
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

    PAUSE = 0.1       # seconds between calls: a shorter outage is not seen
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
    while time.monotonic() < deadline:
        deck = deck or rng.sample(list(possible), len(possible))
        name = deck.pop()
        begin = time.monotonic()
        try:
            await possible[name](trial.scene, rng)
        except HarnessError as error:
            trial.violations.append(f"{name}: {error}")
            break
        end = time.monotonic()
        trial.shop.is_settling = end >= deadline  # after the last fault everything has to settle
        if not await are_served(probes, RETURNS_WITHIN):
            trial.violations.append(
                f"{name}: a server sold nothing in the {RETURNS_WITHIN:.0f} s after the fault had ended")
        episodes.append(Episode(name, begin, end, [probe.outage(begin, time.monotonic()) for probe in probes]))
        await asyncio.sleep(rng.uniform(0, 0.8))
    return episodes


def print_episodes(episodes: Sequence[Episode]) -> None:
    kinds: defaultdict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        kinds[episode.name].append(episode)
    print("Seconds without a sale, at the server where it was longest, and at all servers")
    rows = []
    for name, same in sorted(kinds.items()):
        longest = [max(episode.outages) for episode in same]
        figures = (statistics.median(episode.end - episode.begin for episode in same), statistics.median(longest),
                   max(longest), max(min(episode.outages) for episode in same))
        rows.append([name, str(len(same)), *(f"{figure:.2f}" for figure in figures)])
    print(table(["fault", "times", "lasted", "median", "most", "at all"], rows))


async def run_crashes(options: argparse.Namespace, work: Path) -> list[str]:
    rng = random.Random(options.seed)
    crashes = ["server"] * (200 if options.kills is None else options.kills) + ["database"] * options.database_crashes
    rng.shuffle(crashes)
    times: defaultdict[str, list[float]] = defaultdict(list)
    async with staged(work) as scene:
        trial = trial_of(scene, 1000 + 20 * len(crashes), 250, 50, options.seed)
        await trial.start()
        for crash in crashes:
            await asyncio.sleep(rng.uniform(*PAUSE))
            if crash == "server":
                ready = await kill(scene, rng.choice(scene.servers))
                times["from a server's start until it was ready"].append(ready)
            else:
                recovered, ready = await crash_database(scene)
                times["from PostgreSQL's start until it accepted connections"].append(recovered)
                times["from then until both servers were ready"].append(ready)
            await trial.audit(f"after a crash of the {crash}")
            if ready > READY_WITHIN:
                trial.violations.append(f"ready {ready:.2f} s after the {crash} was back, not within {READY_WITHIN}")
        await trial.finish()
    print(table(["seconds", "times", "median", "most"], [
        [what, str(len(each)), f"{statistics.median(each):.3f}", f"{max(each):.3f}"] for what, each in times.items()]))
    return trial.violations


async def kill(scene: Scene, server: Server) -> float:
    """Returns how many seconds after its start it was ready again."""
    scene.is_wanted[server.name] = False
    await asyncio.to_thread(server.kill)
    scene.is_wanted[server.name] = True
    server.start()
    return await scene.wait_until_ready([server])


async def crash_database(scene: Scene) -> tuple[float, float]:
    """Returns how many seconds it took to recover, and the servers to be ready after that."""
    await asyncio.to_thread(scene.database.kill)
    start = time.monotonic()
    await asyncio.to_thread(scene.database.start)
    return time.monotonic() - start, await scene.wait_until_ready()


CHAOS = Mode("two servers and their PostgreSQL under random faults, one after the other", run_chaos, {
    "--minutes": {"type": float, "default": 30, "help": "of load (default: 30)"},
    "--clients": {"type": int, "default": 20},
    "--rate": {"type": float, "default": 200, "help": "calls a second, of all clients (default: 200)"},
    "--only": {"default": "", "help": "only faults whose names contain one of these, with commas"},
})
CRASHES = Mode("many crashes of servers and of PostgreSQL under load, and how long each took to serve again", run_crashes, {
    "--kills": {"type": int, "help": "of servers (default: 200); with --failover, of primaries (10)"},
    "--database-crashes": {"type": int, "default": 50, "help": "(default: 50)"},
})
