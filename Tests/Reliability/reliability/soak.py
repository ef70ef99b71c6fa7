"""`--soak`: half the peak for long, while holds lapse and old rows are removed. Nothing may grow.

Sold units keep their holds, orders and payment events for ever, so these tables grow with the sale. For them and for
their partial indexes the bytes per row count: one row in a hundred may be dead before a table is vacuumed.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.output import table, tell
from harness.services import Server, Services, create_product, sql
from harness.wrk import Sample, wrk

from .attack import attacker

SCRIPT = Path(__file__).resolve().parents[1] / "wrk/soak.lua"
SLICE = 10  # seconds, between samples
PRODUCTS = 10  # sold in turn, a slice each
STREAMS = 100
# Tables whose rows of what was sold stay, and indexes of rows that come and go, each with its table.
BY_ROW = {
    "holds": "holds", "orders": "orders", "payment_events": "payment_events", "holds_active_by_expiry": "holds",
    "holds_given_back": "holds", "orders_pending_by_due": "orders", "payment_events_parked": "payment_events",
}

RATE_WITHIN = 0.95  # each quarter's of what was asked for
MEMORY_WITHIN = 0.05  # the last quarter's mean of the second's
SIZE_WITHIN = 1.2  # the last quarter's maximum by the second's
SIZE_FLOOR = 2  # MB: of a smaller table a few pages matter
LATENCY_WITHIN = 1.3  # the last quarter's p99 by the first's
DESCRIPTORS_WITHIN = 8  # the pool may have opened another connection

RATE, P99, FAILED, MEMORY, DESCRIPTORS = (
    "requests per second", "p99 ms", "refused, or no answer", "resident memory MB, mean", "descriptors, most")
SIZE, ROW_SIZE = " MB, most", " bytes a row, most"
# How the figures of a quarter become one. The maximum of all others.
QUARTER: dict[str, Callable[[list[float]], float]] = {
    RATE: statistics.median, P99: statistics.median, FAILED: sum, MEMORY: statistics.mean}

Figures = dict[str, float]


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    retention = str(max(5, min(60, round(options.soak_minutes * 60 / 16))))  # so that a short run gets there too
    settings = {
        "HOLD_TTL_SECONDS": "5", "ORDER_TTL_SECONDS": "10", "HOLD_RETENTION_SECONDS": retention,
        "IDEMPOTENCY_KEY_TTL_SECONDS": retention, "PARKED_EVENT_TTL_SECONDS": retention,
    }
    with Services(work) as services:
        url = services.database("soak")
        # Servers cannot ask for less than the owner of the tables allows.
        sql(url, "update minimum_retention set idempotency_key = '1 s', parked_event = '1 s'")
        products = [create_product(url, f"Soak {number}") for number in range(PRODUCTS)]
        server = services.server(url, **settings)

        def load(number: int, rate: float) -> Sample:
            return wrk(server.url, SLICE, str(SCRIPT), RATE=rate, PRODUCT=products[number % PRODUCTS], SLICE=number,
                       SEED=options.seed + number)

        tell("the peak")
        load(0, 0)
        peak = load(1, 0).rate
        log = work / "watchers.log"
        slices: list[Figures] = []
        with attacker("watchers", server, products[0], STREAMS, log):
            end = time.monotonic() + options.soak_minutes * 60
            while time.monotonic() < end:
                slices.append(look(server, load(len(slices) + 2, peak / 2)))
                if len(slices) % 6 == 0:
                    tell(f"{len(slices) * SLICE / 60:.0f} minutes: {slices[-1][RATE]:,.0f}/s, "
                         f"p99 {slices[-1][P99]:.1f} ms, {slices[-1][MEMORY]:.0f} MB")
        watched = json.loads(log.read_text().strip().splitlines()[-1])
        failures = {status: count for status, count in server.answered().items() if status.startswith("5")}
        violations = [*left_behind(server, int(retention))]
        violations += [f"audit of {name}: {complaint}" for name, complaint in services.audits().items() if complaint]

    path = options.results / f"soak-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    path.write_text("".join(json.dumps(figures) + "\n" for figures in slices))
    if len(slices) < 8:
        return [f"{len(slices)} samples are too few for quarters: take more minutes"]
    quarters = [measures(slices[len(slices) * n // 4:len(slices) * (n + 1) // 4]) for n in range(4)]
    print(f"Peak {peak:,.0f} requests a second, half of it for {options.soak_minutes:g} minutes; retention {retention} "
          f"s. {STREAMS} streams saw {watched['events']:,} events. Samples: {path}")
    if not watched["events"]:
        violations.append("no stream had an event")
    if watched["ended by the server"]:
        violations.append(f"{watched['ended by the server']} streams that were read ended")
    if failures:
        violations.append(f"requests were answered {failures}")
    print(table(["quarter", "1", "2", "3", "4"], [
        [name, *(f"{quarter[name]:,.0f}" if quarter[name] >= 100 else f"{quarter[name]:.2f}" for quarter in quarters)]
        for name in quarters[0]]))
    return [*violations, *judge(quarters, peak / 2)]


def look(server: Server, sample: Sample) -> Figures:
    """The figures of a slice."""
    rows = [row.split("|") for row in sql(server.database_url, f"""
        select relname, pg_total_relation_size(relid), n_live_tup from pg_stat_user_tables
        union all
        select indexrelname, pg_relation_size(indexrelid), 0 from pg_stat_user_indexes
        where indexrelname in ({', '.join(map(repr, BY_ROW))})""").splitlines()]
    sizes, live = ({row[0]: int(row[column]) for row in sorted(rows)} for column in (1, 2))
    return {
        RATE: sample.rate, P99: sample.latencies["p99"], FAILED: sample.faults, MEMORY: server.memory_mb()[0],
        DESCRIPTORS: server.descriptors(), **{f"{name}{SIZE}": size / 2**20 for name, size in sizes.items()},
        **{f"{name}{ROW_SIZE}": sizes[name] / max(1, live[of]) for name, of in BY_ROW.items()},
    }


def left_behind(server: Server, retention: int) -> Iterator[str]:
    """Rows that retention should have removed more than a minute ago."""
    for what, rows in {
        "holds": "holds where status in ('released', 'expired') and expires_at",
        "idempotency keys": "idempotency_keys where created_at",
        "payment events": "payment_events where verdict = 'parked' and received_at",
    }.items():
        due = f"clock_timestamp() - interval '{retention + 60} s'"
        count = sql(server.database_url, f"select count(*) from {rows} < {due}")
        if count != "0":
            yield f"{count} {what} should have been removed"


def measures(slices: Sequence[Figures]) -> Figures:
    return {name: QUARTER.get(name, max)([figures[name] for figures in slices]) for name in slices[0]}


def judge(quarters: Sequence[Figures], rate: float) -> Iterator[str]:
    """The violations. `rate` is what was asked for, in requests a second."""
    first, second, _, last = quarters
    for number, quarter in enumerate(quarters, 1):
        if quarter[FAILED]:
            yield f"{quarter[FAILED]:.0f} requests of quarter {number} were refused or not answered"
        if quarter[RATE] < RATE_WITHIN * rate:
            yield f"quarter {number} had {quarter[RATE]:,.0f} requests a second, not {rate:,.0f}"
    if abs(last[MEMORY] / second[MEMORY] - 1) > MEMORY_WITHIN:
        yield f"memory went from {second[MEMORY]:.1f} MB in the second quarter to {last[MEMORY]:.1f} MB"
    if last[DESCRIPTORS] > second[DESCRIPTORS] + DESCRIPTORS_WITHIN:
        yield f"descriptors went from {second[DESCRIPTORS]:.0f} to {last[DESCRIPTORS]:.0f}"
    for name in (name.removesuffix(SIZE) for name in last if name.endswith(SIZE)):
        what = f"{name}{ROW_SIZE}" if name in BY_ROW else f"{name}{SIZE}"
        if last[f"{name}{SIZE}"] >= SIZE_FLOOR and last[what] > SIZE_WITHIN * second[what]:
            yield f"{what}: {second[what]:,.1f} in the second quarter, {last[what]:,.1f} in the last"
    if last[P99] > LATENCY_WITHIN * first[P99]:
        yield f"p99 went from {first[P99]:.1f} to {last[P99]:.1f} ms"
