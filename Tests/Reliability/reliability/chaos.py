"""`--chaos` and `--crashes`: faults under load, one after the other. Every response must be true, and all holds and orders
must settle."""

import argparse
import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.output import table
from harness.processes import HarnessError

from . import faults
from .client import Client
from .history import History
from .mode import Mode
from .scene import ORDER_TTL, Scene, staged
from .shop import Shop
from .trial import SETTLES_WITHIN, Trial

# Seconds in which service has to return by itself after a fault. In the worst case a statement and a connection are given
# up first, and a probe has to ask again.
RETURNS_WITHIN = 8.0
PRODUCTS = 5
SCARCE_STOCK = 40
ALL_KINDS_WITHIN = 5.0  # minutes
# After a crash: from when PostgreSQL accepts connections, and from when the supervisor may start a server.
READY_WITHIN = 2.0   # seconds
# Load between two crashes.
PAUSE = (0.2, 0.6)   # seconds


def trial_of(scene: Scene, stock: int, rate: float, clients: int, seed: int) -> Trial:
    """`rate` is in calls a second, of all clients."""
    products = scene.add_products(PRODUCTS, stock, SCARCE_STOCK)
    shop = Shop(products, rate, ORDER_TTL, too_many=stock + 1, payable={products[-1]: SCARCE_STOCK // 2})
    return Trial(scene, shop, clients, seed)


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
        last, served = await break_things(
            trial, probes, possible, random.Random(options.seed), options.minutes * 60 - SETTLES_WITHIN)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Buyers went on until now, unless the last fault ended after the deadline.
        await trial.finish(last if trial.shop.is_settling else None)
        if not served:
            trial.violations.append("there was no time for a fault")
        if options.minutes >= ALL_KINDS_WITHIN and not options.only:
            trial.violations += [f"{name}: did not happen" for name in faults.FAULTS if name not in served]
    print_times("seconds from the end of the fault until all servers sold", served)
    return trial.violations


def print_times(what: str, times: Mapping[str, Sequence[float]]) -> None:
    print(table([what, "times", "median", "most"], [
        [name, str(len(each)), f"{statistics.median(each):.3f}", f"{max(each):.3f}"] for name, each in sorted(times.items())]))


class Probe:
    """Holds a unit again and again. That needs a server, its network and its database."""

    PAUSE = 0.1       # seconds between calls
    PATIENCE = 1.0    # seconds

    def __init__(self, server: int, ports: list[int], product: int, history: History) -> None:
        self._client = Client(-1 - server, ports, history, self.PATIENCE)
        self._server, self._product = server, product
        self.granted = 0.0  # when, on the monotonic clock, the last hold was

    async def run(self) -> None:
        try:
            for count in itertools.count(1):
                call = await self._client.call("hold", self._product, {
                    "product_id": self._product, "quantity": 1, "customer_id": f"probe-{self._server}-{count}"}, self._server)
                if call.status == 201:
                    self.granted = call.end_monotonic
                await asyncio.sleep(self.PAUSE)
        finally:
            self._client.close()


async def break_things(
    trial: Trial, probes: list[Probe], possible: dict[str, faults.Fault], rng: random.Random, seconds: float
) -> tuple[float, dict[str, list[float]]]:
    """One fault after the other until the deadline: all kinds in random order, then all again in another.

    Returns when the last one ended, and for each kind the seconds from each end until every server had granted a hold.
    """
    served: defaultdict[str, list[float]] = defaultdict(list)
    deck: list[str] = []
    end = 0.0
    deadline = time.monotonic() + seconds
    await asyncio.sleep(1)
    while time.monotonic() < deadline:
        deck = deck or rng.sample(list(possible), len(possible))
        name = deck.pop()
        try:
            await possible[name](trial.scene, rng)
        except HarnessError as error:
            trial.violations.append(f"{name}: {error}")
            break
        end = time.monotonic()
        trial.shop.is_settling = end >= deadline  # after the last fault everything has to settle
        while not all(probe.granted > end for probe in probes) and time.monotonic() < end + RETURNS_WITHIN:
            await asyncio.sleep(0.02)
        served[name].append(max(probe.granted for probe in probes) - end)
        if not all(probe.granted > end for probe in probes):
            trial.violations.append(
                f"{name}: a server sold nothing in the {RETURNS_WITHIN:.0f} s after the fault had ended")
        await asyncio.sleep(rng.uniform(0, 0.8))
    return end, served


async def run_crashes(options: argparse.Namespace, work: Path) -> list[str]:
    rng = random.Random(options.seed)
    kinds = {"server killed": faults.server_killed, "database killed": faults.database_killed}
    crashes = ["server killed"] * (200 if options.kills is None else options.kills)
    crashes += ["database killed"] * options.database_crashes
    rng.shuffle(crashes)
    times: defaultdict[str, list[float]] = defaultdict(list)
    async with staged(work) as scene:
        trial = trial_of(scene, 1000 + 20 * len(crashes), 250, 50, options.seed)
        await trial.start()
        for crash in crashes:
            await asyncio.sleep(rng.uniform(*PAUSE))
            await kinds[crash](scene, rng, pause=0)
            times[crash].append(await scene.wait_until_ready())
            await trial.audit(f"after: {crash}")
            if times[crash][-1] > READY_WITHIN:
                trial.violations.append(f"{crash}: ready again after {times[crash][-1]:.2f} s, not within {READY_WITHIN}")
        await trial.finish()
    print_times("seconds from the restart until servers were ready", times)
    return trial.violations


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
