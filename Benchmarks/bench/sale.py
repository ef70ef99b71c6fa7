"""`--sale`, the default: the requests of a sale, HTTP without a database, PostgreSQL alone and Redis alone."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from harness.output import tell
from harness.services import Server, create_product, create_products, sql
from harness.wrk import PERCENTILES, Sample, wrk

from . import pgbench
from .plot import bars, lines
from .redis import Redis
from .report import contestants_table, ratios_table
from .rounds import Contestant, measure
from .seed import SeededHolds
from .services import find_redis
from .session import Session

CONNECTIONS = (8, 64, 1000)  # all contestants are measured with 64

RATIOS = (
    ("holds", "echo"), ("holds", "pgbench"), ("holds", "pgbench, for update"), ("holds", "Redis"),
    ("holds, 8 connections", "echo, 8 connections"), ("holds, 1,000 connections", "echo, 1,000 connections"),
    ("holds, 1,000 connections", "holds"),
    ("holds, 1,000 products", "holds"), ("orders", "echo"), ("payment events", "echo"), ("refusals", "echo"),
    ("reads", "echo, reading"), ("holds", "bare"), ("reads", "bare, reading"),
    ("checkouts", "echo"), ("checkouts", "holds"), ("checkouts", "pgbench"),
)


def run(session: Session) -> list[str]:
    """Measures, writes and prints the report; returns the problems."""
    services = session.services
    database, plain = services.database("sale"), services.database("plain")
    pgbench.prepare(plain)
    server, echo = services.server(database), services.echo()
    report = session.report("sale", "A flash sale")
    at_64 = [*of_server(server, echo), *alone(session, plain)]
    contestants = [*at_64, *over_connections(server, echo)]

    tell("warming up, and estimating rates")
    for contestant in contestants:
        contestant.measure(1)
        if isinstance(contestant.measure, Seeded):
            contestant.measure.prepare(session.rounds, session.seconds)
    sql(database, "vacuum analyze")
    results = measure(contestants, session.rounds, session.seconds)
    memory, peak = server.memory_mb()

    report.add(session.method + " Latencies are those of single responses. A checkout has three.")
    report.add(contestants_table(contestants, results))
    report.add(ratios_table(results, RATIOS))
    report.add(f"Resident memory of the server at the end: {memory:.0f} MB; at most: {peak:.0f} MB.")
    bars(report.chart("throughput"), "Throughput", {c.name: results.rate(c.name) for c in at_64}, "per second")
    lines(
        report.chart("latency"), "Latency at 64 connections", "percentile of the responses", "ms",
        PERCENTILES, {name: [results.latency(name, p) for p in PERCENTILES] for name in ("echo", "holds", "checkouts")})
    lines(
        report.chart("connections"), "Throughput against connections", "connections", "per second",
        [f"{count:,}" for count in CONNECTIONS],
        {name: [results.rate(at(name, count)).median for count in CONNECTIONS] for name in ("holds", "echo")})
    return report.finish(results, services.audits())


def of_server(server: Server, echo: str) -> list[Contestant]:
    url = server.database_url
    api, product = f"{server.url}/api", partial(create_product, url)
    on_sale, for_checkouts, quiet, thousand = product(), product(), product(), create_products(url, 1000)
    return [
        Contestant("echo", "a plain Hummingbird server, POST", hold_at(echo, 1)),
        Contestant("holds", "POST /api/holds, one product", hold_at(f"{api}/holds", on_sale)),
        Contestant("holds, 1,000 products", "the same, all in turn",
                   lambda s: wrk(f"{api}/holds", s, "holds.lua", PRODUCT=thousand, PRODUCTS=1000)),
        Contestant("orders", "POST /api/orders", Seeded(server, SeededHolds(url, product(), ordered=False))),
        Contestant("payment events", "POST /api/payments/webhook",
                   Seeded(server, SeededHolds(url, product(), ordered=True))),
        Contestant("checkouts", "hold, then order, then payment",
                   lambda s: wrk(api, s, "checkouts.lua", PRODUCT=for_checkouts, counts_finished=True)),
        Contestant("refusals", "POST /api/holds, sold out",
                   refused(server, sell_out(server))),
        Contestant("echo, reading", "a plain Hummingbird server, GET", lambda s: wrk(echo, s)),
        Contestant("bare", "POST /api/holds, invalid: no database", refused(server, 0, status="422")),
        Contestant("bare, reading", "GET /health/live: no database", lambda s: wrk(f"{server.url}/health/live", s)),
        Contestant("reads", "GET /api/products/{id}", lambda s: wrk(f"{api}/products/{quiet}", s)),
    ]


def over_connections(server: Server, echo: str) -> list[Contestant]:
    product = create_product(server.database_url)
    return [
        Contestant(at(name, connections), does, partial(hold_at(url, product), connections=connections))
        for connections in CONNECTIONS if connections != 64
        for name, does, url in (("echo", "a plain Hummingbird server, POST", echo),
                                ("holds", "POST /api/holds, one product", f"{server.url}/api/holds"))
    ]


def at(name: str, connections: int) -> str:
    """The name of a contestant with this many connections."""
    return name if connections == 64 else f"{name}, {connections:,} connections"


def hold_at(url: str, product: int) -> Callable[..., Sample]:
    return lambda seconds, **options: wrk(url, seconds, "holds.lua", PRODUCT=product, **options)


def refused(server: Server, product: int, status: str = "409") -> Callable[[float], Sample]:
    """Measures holds that are refused: of a sold-out product, or of product 0. A response of another status is a fault."""
    def measure(seconds: float) -> Sample:
        before = server.answered()
        sample = hold_at(f"{server.url}/api/holds", product)(seconds, expects_refusals=True)
        # The sample's faults are the 2xx responses. The server's counters have the other statuses. They also have late
        # responses to the contestant before.
        counts = server.answered() - before
        others = sum(count for other, count in counts.items() if other >= "400" and other != status)
        return replace(sample, faults=sample.faults + others)

    return measure


def alone(session: Session, plain: str) -> list[Contestant]:
    contestants = [
        Contestant("pgbench", "PostgreSQL alone, one statement a hold",
                   lambda s: pgbench.pgbench(plain, "one-statement.sql", s, session.work)),
        Contestant("pgbench, for update", "PostgreSQL alone, select … for update",
                   lambda s: pgbench.pgbench(plain, "select-for-update.sql", s, session.work)),
    ]
    if find_redis():
        redis = Redis(session.services.redis())
        contestants.append(Contestant("Redis", "Redis alone, script, appendfsync always", redis.hold))
    else:
        tell("Redis is left out: apt-get install redis-tools adds it")
    return contestants


class Seeded:
    """Orders or pays for seeded holds. Each hold can be used once, so enough of them must exist."""

    def __init__(self, server: Server, holds: SeededHolds) -> None:
        self._server = server
        self._holds = holds
        self._highest_rate = 0.0

    def prepare(self, rounds: int, seconds: float) -> None:
        """Adds the holds that all rounds are likely to need, by the measured rate."""
        self._holds.ensure(round(self._highest_rate * seconds * (rounds + 1)))

    def __call__(self, seconds: float) -> Sample:
        self._holds.ensure(round((2 * self._highest_rate or 50_000) * seconds))
        script = "payments.lua" if self._holds.ordered else "orders.lua"
        sample = wrk(
            self._server.url, seconds, script, DIGITS=self._holds.digits, FIRST=self._holds.next)
        self._holds.next += round(sample.rate * (seconds + 1))  # one second more, so no hold is used twice
        self._highest_rate = max(self._highest_rate, sample.rate)
        return sample


def sell_out(server: Server) -> int:
    """Creates a product with one unit, and sells it; returns the product's id."""
    product = create_product(server.database_url, stock=1)
    hold = post(f"{server.url}/api/holds", {"product_id": product, "quantity": 1})
    order = post(f"{server.url}/api/orders", {"hold_id": hold["hold_id"]})
    post(f"{server.url}/api/payments/webhook",
         {"idempotency_key": "sold-out", "order_id": order["order_id"], "status": "success"})
    return product


def post(url: str, body: dict[str, object]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)
