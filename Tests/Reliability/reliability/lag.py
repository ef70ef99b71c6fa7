"""`--lag`: how long after their time holds are released by a worker, when their own server has stopped.

Two servers on one database. One makes holds that last for an hour and sleeps until then; the other makes holds of
the same products that last for a moment, and stops before they lapse. The sleeper has to learn of them: by NOTIFY, or,
where it cannot LISTEN, by polling. The time of release is the database's own, of the commit that did it.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.output import table, tell
from harness.processes import HarnessError, output_of
from harness.services import FLASHSALE, Server, Services, create_products, sql

from .asking import Client
from .buyers import audit_of
from .postgres import postgres
from .frozen_proxy import Proxy
from .network import Drops

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
    stopped_late: int  # holds that were not counted, because their server had not stopped before they lapsed

    def percentile(self, percent: float) -> float:
        return self.sorted[min(len(self.sorted) - 1, int(len(self.sorted) * percent / 100))]


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rounds", type=int, default=30, help=f"of {PRODUCTS} holds each (default: 30)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Measures each case, prints a table; returns what was other than promised."""
    violations: list[str] = []
    rows = []
    settings = {"track_commit_timestamp": "on"}
    with postgres(work / "database", settings=settings) as database, Services(work) as services:
        for index, (name, most_ms) in enumerate(CASES.items()):
            tell(f"LISTEN {name}")
            url = f"{database.socket_url}/lag_{index}"
            sql(f"{database.socket_url}/postgres", f"create database lag_{index}")
            output_of(FLASHSALE, "migrate", env={"DATABASE_URL": url})
            with listening(name, url, database.tcp_url) as (listen_url, once_listening):
                lags = measure(
                    services, url, listen_url, once_listening, most_ms, options.rounds, random.Random(options.seed))
            p99 = lags.percentile(99)
            rows.append([f"LISTEN {name}", str(len(lags.sorted)), f"{lags.percentile(50):.0f}", f"{p99:.0f}",
                         f"{lags.sorted[-1]:.0f}", str(most_ms), f"{lags.jobs_in_time} of {lags.jobs}"])
            if p99 > most_ms:
                violations.append(f"LISTEN {name}: p99 of the lag is {p99:.0f} ms, over {most_ms} ms")
            if lags.jobs_in_time < 0.99 * lags.jobs or not lags.jobs:
                violations.append(f"LISTEN {name}: only {lags.jobs_in_time} of {lags.jobs} jobs began in time, by the "
                                  "server's metric")
            if lags.stopped_late > len(lags.sorted) / 10:
                violations.append(f"LISTEN {name}: {lags.stopped_late} holds lapsed before their server had stopped")
            violations += [f"LISTEN {name}: {violation}" for violation in left_over(url)]
    print(table(["", "holds", "p50 ms", "p99 ms", "at most ms", "bar ms", "in time by metric"], rows))
    return violations


@contextmanager
def listening(name: str, url: str, tcp_url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Where to LISTEN, and what to do once it has begun."""
    if name == "alive":
        yield url, lambda: None
    elif name == "dead: a closed port":
        with socket.socket() as unused:  # bound, so that nobody else takes the port, and never listening
            unused.bind(("127.0.0.1", 0))
            yield f"postgresql://flashsale@127.0.0.1:{unused.getsockname()[1]}/nothing", lambda: None
    else:
        went_silent = name == "dead: went silent"
        with Proxy(tcp_url if went_silent else None) as proxy:
            yield f"{proxy.database_url}/{url.rpartition('/')[2]}", lambda: proxy.freeze(Drops.ALL)


def measure(
    services: Services, url: str, listen_url: str, once_listening: Callable[[], None], most_ms: int, rounds: int,
    choices: random.Random,
) -> Lags:
    first = create_products(url, PRODUCTS)
    products = range(first, first + PRODUCTS)
    with (
        services.serving(url, LISTEN_DATABASE_URL=listen_url) as sleeper,
        services.serving(url, HOLD_TTL_SECONDS=str(MOMENT)) as stopper,
    ):
        asyncio.run(hold(sleeper, products))
        once_listening()
        before = metric(sleeper, most_ms)
        made: list[str] = []
        stopped_late = 0
        for _ in range(rounds):
            time.sleep(choices.random())  # anywhere in the sleeper's sleep
            start = time.monotonic()
            holds = asyncio.run(hold(stopper, products))
            time.sleep(max(0, start + STOPS_AFTER - time.monotonic()))
            os.kill(stopper.pid, signal.SIGSTOP)
            try:
                is_in_time = time.monotonic() < start + MOMENT
                wait_until_released(url)
            finally:
                os.kill(stopper.pid, signal.SIGCONT)
            if is_in_time:
                made += holds
            else:
                stopped_late += len(holds)
        after = metric(sleeper, most_ms)
    ids = ", ".join(f"'{name.removeprefix('hold_')}'" for name in made)
    lags = [] if not made else sql(url, f"""
        select 1000 * extract(epoch from pg_xact_commit_timestamp(xmin) - expires_at)
        from holds where status = 'expired' and id in ({ids})""").splitlines()
    if len(lags) < len(made) or not made:
        raise HarnessError(f"{len(made)} holds were made, and {len(lags)} of them have lapsed")
    return Lags(sorted(map(float, lags)), after[0] - before[0], after[1] - before[1], stopped_late)


async def hold(server: Server, products: range) -> list[str]:
    """Holds a unit of each product; returns the holds' ids."""
    client = Client(server.url, patience=10)
    try:
        answers = [await client.post("/api/holds", {"product_id": product, "quantity": 1}) for product in products]
    finally:
        client.close()
    for answer in answers:
        if answer.status != 201:
            raise HarnessError(f"a hold was answered {answer.label}")
    return [answer.body["hold_id"] for answer in answers]


def wait_until_released(url: str) -> None:
    deadline = time.monotonic() + 30
    while sql(url, """
            select count(*) from holds
            where status = 'active' and expires_at < clock_timestamp() + interval '1 minute'""") != "0":
        if time.monotonic() > deadline:
            raise HarnessError("a hold was not released within 30 s")
        time.sleep(0.02)


def metric(server: Server, most_ms: int) -> tuple[int, int]:
    """Jobs that the server has run, and those of them that began in time, as finely as its buckets tell."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as response:
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
    """What does not add up when all is over."""
    missing = sql(url, """
        select count(*) from products p
        where p.available_stock <> p.total_stock - 1""")  # the hold of each that lasts
    return audit_of(url) + ([f"{missing} products did not get their units back"] if missing != "0" else [])
