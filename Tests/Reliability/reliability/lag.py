"""`--lag`: how long after their time holds are expired by a worker, when their own server has stopped.

Two servers use one database. One makes holds that last for an hour, and sleeps until then. The other makes holds of the
same products that last for a moment, and stops before they lapse. The sleeper has to learn of them: by NOTIFY, or, if
it cannot LISTEN, by polling. The time of the expiry is the timestamp of its commit.
"""

import argparse
import asyncio
import random
import time
from pathlib import Path

from harness.output import table, tell
from harness.processes import HarnessError, free_port
from harness.services import NOTHING_LAPSES, audit, counted, create_products, sql

from .client import Client
from .history import History
from .network import Proxy
from .postgres import postgres
from .processes import Server, serving, wait_for

MOMENT = 0.2  # seconds that the holds of the server that stops last
STOPS_AFTER = 0.1  # seconds after it has made them: long enough to have notified the sleeper
PRODUCTS = 10
ACTIVE = "select count(*) from holds where status = 'active' and expires_at < clock_timestamp() + interval '1 minute'"
CASES = {  # the state of LISTEN, and in how many milliseconds 99 of 100 holds expire then
    "alive": 100,
    "dead: a closed port": 1200,
    "dead: silence": 1200,  # connections are accepted, and nothing is answered
    "dead: went silent": 1200,  # after it had begun
}


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    violations: list[str] = []
    rows = []
    with postgres(work) as database:
        for index, (name, most_ms) in enumerate(CASES.items()):
            tell(f"LISTEN {name}")
            database.add(f"lag_{index}")
            (work / str(index)).mkdir()
            async with Proxy(database.port) as proxy:
                port = {"alive": database.port, "dead: a closed port": free_port()}.get(name, proxy.port)
                if name == "dead: silence":
                    proxy.freeze()
                row, found = await measure(
                    work / str(index), database.url(f"lag_{index}"), database.url(f"lag_{index}", port), proxy, most_ms,
                    random.Random(options.seed), options.rounds)
            rows.append([f"LISTEN {name}", *row])
            violations += [f"LISTEN {name}: {violation}" for violation in found]
    print(table(["", "holds", "p50 ms", "p99 ms", "at most ms", "bar ms", "in time by metric"], rows))
    return violations


async def measure(
    folder: Path, url: str, listen_url: str, proxy: Proxy, most_ms: int, rng: random.Random, rounds: int
) -> tuple[list[str], list[str]]:
    """Returns the case's row of the table, and its violations."""
    first = create_products(url, PRODUCTS)
    products = range(first, first + PRODUCTS)
    sleeper = Server(0, folder, url, {**NOTHING_LAPSES, "LISTEN_DATABASE_URL": listen_url})
    stopper = Server(1, folder, url, {**NOTHING_LAPSES, "HOLD_TTL_SECONDS": str(MOMENT)})
    made: list[str] = []   # ids of holds that lapsed while their server was stopped
    stopped_late = 0       # holds that lapsed before
    async with serving(sleeper, stopper):
        await hold(sleeper, products)
        proxy.freeze()
        before = await asyncio.to_thread(jobs, sleeper, most_ms)
        for _ in range(rounds):
            await asyncio.sleep(rng.random())  # anywhere in the sleeper's sleep
            start = time.monotonic()
            holds = await hold(stopper, products)
            await asyncio.sleep(max(0, start + STOPS_AFTER - time.monotonic()))
            with stopper.stopped():
                is_in_time = time.monotonic() < start + MOMENT
                await asyncio.to_thread(wait_for, lambda: sql(url, ACTIVE) == "0", 30, "holds to be expired", 0.02)
            made += holds if is_in_time else []
            stopped_late += 0 if is_in_time else len(holds)
        after = await asyncio.to_thread(jobs, sleeper, most_ms)
    lags = lags_of(url, made)
    count, in_time = after[0] - before[0], after[1] - before[1]
    p50, p99 = (lags[min(len(lags) - 1, len(lags) * percent // 100)] for percent in (50, 99))
    found = audit(url) or []
    missing = sql(url, "select count(*) from products where available_stock <> total_stock - 1")  # the sleeper's hold
    if missing != "0":
        found.append(f"{missing} products did not get their units back")
    if p99 > most_ms:
        found.append(f"p99 of the lag is {p99:.0f} ms, over {most_ms} ms")
    if in_time < 0.99 * count or not count:
        found.append(f"only {in_time} of {count} jobs began in time, by the server's metric")
    if stopped_late > len(lags) / 10:
        found.append(f"{stopped_late} holds lapsed before their server had stopped")
    return [str(len(lags)), f"{p50:.0f}", f"{p99:.0f}", f"{lags[-1]:.0f}", str(most_ms), f"{in_time} of {count}"], found


async def hold(server: Server, products: range) -> list[str]:
    """Holds a unit of each product; returns the holds' ids."""
    client = Client(0, [server.port], History())
    calls = [await client.call("hold", product, {"product_id": product, "quantity": 1}, 0) for product in products]
    client.close()
    for call in calls:
        if call.status != 201:
            raise HarnessError(f"a hold was answered {call.word}")
    return [call.answer["hold_id"] for call in calls]


def lags_of(url: str, made: list[str]) -> list[float]:
    """Milliseconds from the end of each hold to the commit that expired it, sorted."""
    ids = ", ".join(f"'{name.removeprefix('hold_')}'" for name in made)
    lags = [] if not made else sql(url, f"""
        select 1000 * extract(epoch from pg_xact_commit_timestamp(xmin) - expires_at)
        from holds where status = 'expired' and id in ({ids})""").splitlines()
    if len(lags) < len(made) or not made:
        raise HarnessError(f"{len(made)} holds were made, and {len(lags)} of them have lapsed")
    return sorted(map(float, lags))


def jobs(server: Server, most_ms: int) -> tuple[int, int]:
    """Jobs that the server has run, and those of them that began in time, as finely as its buckets tell."""
    counts = counted(server.port, "flashsale_expiry_lag_seconds_bucket", "le")
    buckets = {float(bound): count for bound, count in counts.items()}
    if not buckets:
        return 0, 0
    return buckets[float("inf")], buckets[min(bound for bound in buckets if bound * 1000 >= most_ms)]
