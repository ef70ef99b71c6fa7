"""`--lag`: how long after their time holds are released by a worker, when their own server has stopped.

Two servers on one database. One makes holds that last for an hour and sleeps until then; the other makes holds of
the same products that last for a moment, and stops before they lapse. The sleeper has to learn of them: by NOTIFY, or,
where it cannot LISTEN, by polling. The time of release is the database's own, of the commit that did it.
"""

import argparse
import asyncio
import random
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.output import table, tell
from harness.processes import HarnessError
from harness.services import NOTHING_LAPSES, create_products, sql

from .client import Client
from .history import History
from .network import Proxy
from .postgres import Postgres, postgres
from .processes import Server, reserved_port, wait_for
from .trial import audit

SUMMARY = "how late lapsed holds are released, with LISTEN and without"

MOMENT = 0.2  # seconds, what the holds of the server that stops last for
STOPS_AFTER = 0.1  # seconds after it has made them: long enough to have told of them
PRODUCTS = 10
CASES = {  # how it is with LISTEN, and in how many milliseconds 99 of 100 holds are released then
    "alive": 100,
    "dead: a closed port": 1200,
    "dead: silence": 1200,  # connections are accepted, and nothing is answered
    "dead: went silent": 1200,  # once it had begun
}


@dataclass(frozen=True)
class Lags:
    """Milliseconds from the end of each hold to the commit that released it."""

    sorted: list[float]
    jobs: int  # by the sleeper's own metric
    jobs_in_time: int
    stopped_late: int  # holds that lapsed before their server had stopped: they are not counted

    def percentile(self, percent: float) -> float:
        return self.sorted[min(len(self.sorted) - 1, int(len(self.sorted) * percent / 100))]


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rounds", type=int, default=30, help=f"of {PRODUCTS} holds each (default: 30)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Measures each case, prints a table; returns what was other than promised."""
    with postgres(work) as database:
        return asyncio.run(measure_all(database, options, work))


async def measure_all(database: Postgres, options: argparse.Namespace, work: Path) -> list[str]:
    violations: list[str] = []
    rows = []
    for index, (name, most_ms) in enumerate(CASES.items()):
        tell(f"LISTEN {name}")
        url = database.url_at(database.port, f"lag_{index}")
        await asyncio.to_thread(database.add, f"lag_{index}")
        folder = work / str(index)
        folder.mkdir()
        async with listening(name, database, f"lag_{index}") as (listen_url, once_listening):
            lags = await measure(folder, url, listen_url, once_listening, most_ms, options)
        p99 = lags.percentile(99)
        rows.append([f"LISTEN {name}", str(len(lags.sorted)), f"{lags.percentile(50):.0f}", f"{p99:.0f}",
                     f"{lags.sorted[-1]:.0f}", str(most_ms), f"{lags.jobs_in_time} of {lags.jobs}"])
        found = left_over(url)
        if p99 > most_ms:
            found.append(f"p99 of the lag is {p99:.0f} ms, over {most_ms} ms")
        if lags.jobs_in_time < 0.99 * lags.jobs or not lags.jobs:
            found.append(f"only {lags.jobs_in_time} of {lags.jobs} jobs began in time, by the server's metric")
        if lags.stopped_late > len(lags.sorted) / 10:
            found.append(f"{lags.stopped_late} holds lapsed before their server had stopped")
        violations += [f"LISTEN {name}: {violation}" for violation in found]
    print(table(["", "holds", "p50 ms", "p99 ms", "at most ms", "bar ms", "in time by metric"], rows))
    return violations


@asynccontextmanager
async def listening(name: str, database: Postgres, of: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Where to LISTEN, and what to do once it has begun."""
    if name == "alive":
        yield database.url_at(database.port, of), lambda: None
    elif name == "dead: a closed port":
        yield database.url_at(reserved_port(), of), lambda: None
    else:
        went_silent = name == "dead: went silent"
        proxy = Proxy(database.port if went_silent else None)
        await proxy.open()
        try:
            yield database.url_at(proxy.port, of), proxy.freeze
        finally:
            await proxy.close()


async def measure(
    folder: Path, url: str, listen_url: str, once_listening: Callable[[], None], most_ms: int, options: argparse.Namespace
) -> Lags:
    first = create_products(url, PRODUCTS)
    products = range(first, first + PRODUCTS)
    choices = random.Random(options.seed)
    sleeper = Server(0, folder, url, {**NOTHING_LAPSES, "LISTEN_DATABASE_URL": listen_url})
    stopper = Server(1, folder, url, {**NOTHING_LAPSES, "HOLD_TTL_SECONDS": str(MOMENT)})
    try:
        for server in (sleeper, stopper):
            await server.serve_soon()
        await hold(sleeper, products)
        once_listening()
        before = await asyncio.to_thread(metric, sleeper, most_ms)
        made: list[str] = []
        stopped_late = 0
        for _ in range(options.rounds):
            await asyncio.sleep(choices.random())  # anywhere in the sleeper's sleep
            start = time.monotonic()
            holds = await hold(stopper, products)
            await asyncio.sleep(max(0, start + STOPS_AFTER - time.monotonic()))
            stopper.pause()
            try:
                is_in_time = time.monotonic() < start + MOMENT
                await asyncio.to_thread(wait_for, lambda: are_released(url), 30, "holds to be released", 0.02)
            finally:
                stopper.resume()
            if is_in_time:
                made += holds
            else:
                stopped_late += len(holds)
        after = await asyncio.to_thread(metric, sleeper, most_ms)
    finally:
        for server in (stopper, sleeper):
            await asyncio.to_thread(server.end)
    ids = ", ".join(f"'{name.removeprefix('hold_')}'" for name in made)
    lags = [] if not made else sql(url, f"""
        select 1000 * extract(epoch from pg_xact_commit_timestamp(xmin) - expires_at)
        from holds where status = 'expired' and id in ({ids})""").splitlines()
    if len(lags) < len(made) or not made:
        raise HarnessError(f"{len(made)} holds were made, and {len(lags)} of them have lapsed")
    return Lags(sorted(map(float, lags)), after[0] - before[0], after[1] - before[1], stopped_late)


async def hold(server: Server, products: range) -> list[str]:
    """Holds a unit of each product; returns the holds' ids."""
    client = Client(0, [server.port], History())
    calls = [await client.call("hold", product, {"product_id": product, "quantity": 1}, 0) for product in products]
    client.close()
    for call in calls:
        if call.status != 201:
            raise HarnessError(f"a hold was answered {call.word}")
    return [call.answer["hold_id"] for call in calls]


def are_released(url: str) -> bool:
    return sql(url, """
        select count(*) from holds
        where status = 'active' and expires_at < clock_timestamp() + interval '1 minute'""") == "0"


def metric(server: Server, most_ms: int) -> tuple[int, int]:
    """Jobs that the server has run, and those of them that began in time, as finely as its buckets tell."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    buckets = {}
    for line in lines:
        if line.startswith("flashsale_expiry_lag_seconds_bucket"):
            bound = line.split('le="')[1].split('"')[0]
            buckets[float(bound)] = int(float(line.rsplit(" ", 1)[1]))
    if not buckets:
        return 0, 0
    return buckets[float("inf")], buckets[min(bound for bound in buckets if bound * 1000 >= most_ms)]


def left_over(url: str) -> list[str]:
    """Units that did not come back, and what the audit complains of."""
    missing = sql(url, """
        select count(*) from products p
        where p.available_stock <> p.total_stock - 1""")  # the hold of each that lasts
    return (audit(url) or []) + ([f"{missing} products did not get their units back"] if missing != "0" else [])
