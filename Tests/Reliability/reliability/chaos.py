"""`--chaos`, `--crashes` and `--frozen`: faults under load, one after the other. Every response must be true, and all
holds and orders must settle.

`--chaos` breaks one thing after the other until its time is over: all kinds in random order, then all again in another.
`--crashes` kills so many servers and databases, in random order, and asks for a quicker return.
In `--frozen` the network to the database loses every packet for a while and reports no error.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from harness.output import table
from harness.processes import HarnessError

from . import faults
from .client import Client
from .history import failures
from .network import network
from .processes import beside
from .scene import ORDER_TTL, staged
from .shop import Shop
from .trial import SETTLES_WITHIN, Trial

# Seconds in which service has to return by itself after a fault. In the worst case a statement and a connection are
# given up first, and a probe has to ask again.
RETURNS_WITHIN = 8.0
# After a crash: from when PostgreSQL accepts connections, and from when the supervisor may start a server.
RETURNS_WITHIN_AFTER_CRASH = 2.0
FROZEN_SECONDS = 10.0
RETURNS_WITHIN_AFTER_FREEZE = 5.0
FROZEN = {
    # The part of the time in which no buyer calls; whether replies alone are lost; whether the connections of that
    # moment are forgotten instead: a firewall that has lost its table drops their packets for good, but not new ones'.
    "both ways, under load": (0.0, False, False),
    "replies alone, under load": (0.0, True, False),
    "idle connections are forgotten for good": (1.0, False, True),
    "begins while idle, buyers come in it": (0.5, False, False),
    "while idle, buyers come after it": (1.0, False, False),
}
PRODUCTS = 5
SCARCE_STOCK = 40
ALL_KINDS_WITHIN = 5.0  # minutes
PAUSE = (0.1, 0.7)      # seconds of load between two faults
PROBES_EVERY = 0.1      # seconds
PROBE_PATIENCE = 1.0    # seconds

Deck = Iterator[tuple[str, faults.Fault]]


async def run_chaos(options: argparse.Namespace, work: Path) -> list[str]:
    def deck(trial: Trial, rng: random.Random) -> Deck:
        chosen = options.only.split(",")
        possible = {name: fault for name, fault in faults.possible(trial.scene).items()
                    if any(part in name for part in chosen)}
        if not possible:
            raise HarnessError(f"no fault that is possible here has a name with {options.only} in it")
        deadline = time.monotonic() + options.minutes * 60 - SETTLES_WITHIN
        while True:
            for name in rng.sample(list(possible), len(possible)):
                if time.monotonic() >= deadline:
                    return
                yield name, possible[name]

    is_long = options.minutes >= ALL_KINDS_WITHIN and not options.only
    # The stock is enough for most buyers, and runs out towards the end.
    return await run(work, options.seed, deck, options.clients, options.rate, stock=500 + int(options.minutes * 600),
                     expected=faults.FAULTS if is_long else (), has_events=True)


async def run_crashes(options: argparse.Namespace, work: Path) -> list[str]:
    servers = 200 if options.kills is None else options.kills
    crashes = [("server killed", partial(faults.server_killed, pause=0))] * servers
    crashes += [("database killed", partial(faults.database_killed, pause=0))] * options.database_crashes
    return await run(work, options.seed, lambda _, rng: iter(rng.sample(crashes, len(crashes))), clients=50, rate=250,
                     stock=1000 + 20 * len(crashes), within=RETURNS_WITHIN_AFTER_CRASH)


async def run_frozen(options: argparse.Namespace, work: Path) -> list[str]:
    def deck(trial: Trial, rng: random.Random) -> Deck:
        net, shop = network(trial.scene.proxies[0]), trial.shop

        async def freeze(idle: float, replies_only: bool, is_forgetting: bool, *_: object) -> None:
            net.thaw()
            shop.is_idle = idle > 0
            await asyncio.sleep(1)  # until all calls have ended
            if is_forgetting:
                net.forget()
            else:
                net.freeze(replies_only)
                await asyncio.sleep(FROZEN_SECONDS * idle)
                shop.is_idle = False
                await asyncio.sleep(FROZEN_SECONDS * (1 - idle))
                net.thaw()
            shop.is_idle = False

        for name, freezes in FROZEN.items():
            yield name, partial(freeze, *freezes)

    return await run(work, options.seed, deck, clients=50, rate=400, stock=10_000, within=RETURNS_WITHIN_AFTER_FREEZE,
                     calm=2.0, expected=FROZEN)


async def run(
    work: Path, seed: int, deck: Callable[[Trial, random.Random], Deck], clients: int, rate: float, stock: int,
    expected: Iterable[str] = (), within: float = RETURNS_WITHIN, calm: float = 0.0, has_events: bool = False,
) -> list[str]:
    """Breaks things, each with its name, under `rate` calls a second. Returns the violations.

    - expected: kinds that have to happen.
    - within: seconds from the end of a fault until all servers must have sold again.
    - calm: seconds after that in which no call may fail.
    - has_events: whether endpoints get all events, which are judged, too.
    """
    async with staged(work) as scene:
        products = scene.add_products(PRODUCTS, stock, SCARCE_STOCK)
        trial = Trial(scene, Shop(
            products, rate, ORDER_TTL, too_many=stock + 1, payable={products[-1]: SCARCE_STOCK // 2}))
        sold = [0.0] * len(scene.servers)
        rng = random.Random(seed)
        async with (trial.listening(seed) if has_events else nullcontext(), trial.run(clients, seed)):
            async with beside(*(probe(server, trial, sold) for server in range(len(sold)))):
                served = await break_things(trial, deck(trial, rng), rng, sold, within, calm)
    if not served:
        trial.violations.append("there was no time for a fault")
    trial.violations += [f"{name}: did not happen" for name in expected if name not in served]
    print(table(["seconds from the end of the fault until all servers sold", "times", "median", "most"], [
        [name, str(len(each)), f"{statistics.median(each):.3f}", f"{max(each):.3f}"]
        for name, each in sorted(served.items())]))
    return trial.violations


async def probe(server: int, trial: Trial, sold: list[float]) -> None:
    """Holds a unit again and again, and notes when on the monotonic clock it last got one. That needs the server, its
    network and its database."""
    client, product = Client(-1 - server, trial.scene.ports, trial.history, PROBE_PATIENCE), min(trial.shop.products)
    for count in itertools.count(1):
        call = await client.call("hold", product, {
            "product_id": product, "quantity": 1, "customer_id": f"probe-{server}-{count}"}, server)
        if call.status == 201:
            sold[server] = call.end_monotonic
        await asyncio.sleep(PROBES_EVERY)
        while trial.shop.is_idle:
            await asyncio.sleep(PROBES_EVERY)


async def break_things(
    trial: Trial, deck: Deck, rng: random.Random, sold: list[float], within: float, calm: float
) -> dict[str, list[float]]:
    """Returns for each kind the seconds from each end until every server had granted a hold."""
    served: defaultdict[str, list[float]] = defaultdict(list)
    await asyncio.sleep(1)
    following = next(deck, None)
    while following:
        name, fault = following
        try:
            await fault(trial.scene, rng)
        except HarnessError as error:
            trial.violations.append(f"{name}: {error}")
            break
        end = time.monotonic()
        following = next(deck, None)
        if following is None and not calm:  # after the last fault everything has to settle
            trial.shop.is_settling, trial.settles_since = True, end
        while min(sold) <= end and time.monotonic() < end + RETURNS_WITHIN:
            await asyncio.sleep(0.02)
        served[name].append(max(sold) - end)
        if min(sold) <= end or served[name][-1] > within:
            trial.violations.append(f"{name}: a server sold nothing in the {within:.0f} s after the fault had ended")
        if calm:
            await asyncio.sleep(max(0, end + within - time.monotonic()) + calm)
            # Probes have less patience.
            calls = [call for call in trial.history.calls if call.client >= 0]
            trial.violations += [f"{name}: more than {within:.0f} s after the fault {line}"
                                 for line in failures(calls, since=end + within)]
        if following:
            await trial.audit(f"after: {name}")
            await asyncio.sleep(rng.uniform(*PAUSE))
    return served
