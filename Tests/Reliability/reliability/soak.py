"""`--soak`: half the peak for long, while holds lapse and old rows are removed. Nothing may grow.

Sold units keep their holds, orders and payment events for ever, so these tables grow with the sale. For them and for
their partial indexes the bytes per row count: one row in a hundred may be dead before a table is vacuumed.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.output import table, tell
from harness.processes import running
from harness.services import Server, Services, create_product, sql
from harness.wrk import Sample, wrk

from .attack import ATTACKER
from .mode import Mode

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
SIZE_FLOOR = 2 << 20  # bytes: of what is smaller a few pages matter
LATENCY_WITHIN = 1.3  # the last quarter's p99 by the first's
DESCRIPTORS_WITHIN = 8  # the pool may have opened another connection

RATE, P99, FAILED, MEMORY, DESCRIPTORS = (
    "requests per second", "p99 ms", "refused, or no answer", "resident memory MB, mean", "descriptors, most")


@dataclass(frozen=True)
class State:
    """Of the server and its database, at the end of a slice."""

    rate: float
    p50_ms: float
    p99_ms: float
    faults: int
    memory_mb: float
    descriptors: int
    threads: int
    bytes: dict[str, int] = field(default_factory=dict)  # by table, with its indexes, and by some indexes
    live: dict[str, int] = field(default_factory=dict)  # rows by table, estimated
    dead: dict[str, int] = field(default_factory=dict)


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
        host, port = server.url.removeprefix("http://").split(":")

        def load(number: int, rate: float) -> Sample:
            return wrk(server.url, SLICE, str(SCRIPT), RATE=rate, PRODUCT=products[number % PRODUCTS], SLICE=number,
                       SEED=options.seed + number)

        tell("the peak")
        load(0, 0)
        peak = load(1, 0).rate
        log = work / "watchers.log"
        states: list[State] = []
        with running(sys.executable, ATTACKER, "watchers", host, port, str(products[0]), str(STREAMS), log=log):
            end = time.monotonic() + options.soak_minutes * 60
            while time.monotonic() < end:
                states.append(look(server, load(len(states) + 2, peak / 2)))
                if len(states) % 6 == 0:
                    tell(f"{len(states) * SLICE / 60:.0f} minutes: {states[-1].rate:,.0f}/s, "
                         f"p99 {states[-1].p99_ms:.1f} ms, {states[-1].memory_mb:.0f} MB")
        watched = json.loads(log.read_text().strip().splitlines()[-1])
        failures = {status: count for status, count in server.answered().items() if status.startswith("5")}
        violations = left_behind(server, int(retention))
        violations += [f"audit of {name}: {complaint}" for name, complaint in services.audits().items() if complaint]

    path = options.results / f"soak-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    path.write_text("".join(json.dumps(asdict(state)) + "\n" for state in states))
    if len(states) < 8:
        return [f"{len(states)} samples are too few for quarters: take more minutes"]
    quarters = [states[len(states) * n // 4:len(states) * (n + 1) // 4] for n in range(4)]
    print(f"Peak {peak:,.0f} requests a second, half of it for {options.soak_minutes:g} minutes; retention {retention} "
          f"s. {STREAMS} streams saw {watched['events']:,} events, {watched['ended by the server']} ended. Samples: {path}")
    if not watched["events"]:
        violations.append("no stream had an event")
    if watched["ended by the server"]:
        violations.append(f"{watched['ended by the server']} streams that were read ended")
    if failures:
        violations.append(f"requests were answered {failures}")
    columns = [measures(quarter) for quarter in quarters]
    print(table(["quarter", "1", "2", "3", "4"], [
        [name, *(f"{column[name]:,.0f}" if column[name] >= 100 else f"{column[name]:.2f}" for column in columns)]
        for name in columns[0]]))
    return violations + judge(quarters, peak / 2)


def look(server: Server, sample: Sample) -> State:
    tables = [row.split("|") for row in sql(server.database_url, """
        select relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup from pg_stat_user_tables""").splitlines()]
    indexes = [row.split("|") for row in sql(server.database_url, f"""
        select indexrelname, pg_relation_size(indexrelid) from pg_stat_user_indexes
        where indexrelname in ({', '.join(map(repr, BY_ROW))})""").splitlines()]
    return State(
        rate=sample.rate, p50_ms=sample.latencies["p50"], p99_ms=sample.latencies["p99"], faults=sample.faults,
        memory_mb=server.memory_mb()[0], descriptors=server.descriptors(), threads=server.threads(),
        bytes={row[0]: int(row[1]) for row in tables + indexes},
        live={row[0]: int(row[2]) for row in tables}, dead={row[0]: int(row[3]) for row in tables})


def left_behind(server: Server, retention: int) -> list[str]:
    """Rows that retention should have removed more than a minute ago."""
    kept = f"clock_timestamp() - interval '{retention + 60} seconds'"
    counts = {what: sql(server.database_url, f"select count(*) from {rows} < {kept}") for what, rows in {
        "holds": "holds where status in ('released', 'expired') and expires_at",
        "idempotency keys": "idempotency_keys where created_at",
        "payment events": "payment_events where verdict = 'parked' and received_at",
    }.items()}
    return [f"{count} {what} should have been removed" for what, count in counts.items() if count != "0"]


def measures(quarter: Sequence[State]) -> dict[str, float]:
    """One figure for each line of the table."""
    figures = {
        RATE: statistics.median(state.rate for state in quarter),
        "p50 ms": statistics.median(state.p50_ms for state in quarter),
        P99: statistics.median(state.p99_ms for state in quarter),
        "p99 ms, of the worst tenth": statistics.quantiles((state.p99_ms for state in quarter), n=10)[-1],
        FAILED: sum(state.faults for state in quarter),
        MEMORY: statistics.mean(state.memory_mb for state in quarter),
        DESCRIPTORS: max(state.descriptors for state in quarter),
        "threads, most": max(state.threads for state in quarter),
    }
    for name in sorted(quarter[0].bytes):
        figures[f"{name} MB, most"] = max(state.bytes[name] for state in quarter) / 2**20
        if name in BY_ROW:
            figures[f"{name} bytes a row, most"] = max(
                state.bytes[name] / max(1, state.live[BY_ROW[name]]) for state in quarter)
        if name in quarter[0].dead:
            figures[f"{name} dead rows, most"] = max(state.dead[name] for state in quarter)
    return figures


def judge(quarters: Sequence[Sequence[State]], rate: float) -> list[str]:
    """`rate` is what was asked for, in requests a second."""
    figures = [measures(quarter) for quarter in quarters]
    first, second, _, last = figures
    violations = []
    for number, quarter in enumerate(figures, 1):
        if quarter[FAILED]:
            violations.append(f"{quarter[FAILED]:.0f} requests of quarter {number} were refused or not answered")
        if quarter[RATE] < RATE_WITHIN * rate:
            violations.append(f"quarter {number} had {quarter[RATE]:,.0f} requests a second, not {rate:,.0f}")
    if abs(last[MEMORY] / second[MEMORY] - 1) > MEMORY_WITHIN:
        violations.append(f"memory went from {second[MEMORY]:.1f} MB in the second quarter to {last[MEMORY]:.1f} MB")
    if last[DESCRIPTORS] > second[DESCRIPTORS] + DESCRIPTORS_WITHIN:
        violations.append(f"descriptors went from {second[DESCRIPTORS]:.0f} to {last[DESCRIPTORS]:.0f}")
    for name in quarters[0][0].bytes:
        what = f"{name} bytes a row, most" if name in BY_ROW else f"{name} MB, most"
        is_small = last[f"{name} MB, most"] * 2**20 < SIZE_FLOOR
        if not is_small and last[what] > SIZE_WITHIN * second[what]:
            violations.append(f"{what}: {second[what]:,.1f} in the second quarter, {last[what]:,.1f} in the last")
    if last[P99] > LATENCY_WITHIN * first[P99]:
        violations.append(f"p99 went from {first[P99]:.1f} to {last[P99]:.1f} ms")
    return violations


MODE = Mode("half the peak for an hour: memory, descriptors, tables and latencies stay as they are", run, {
    "--soak-minutes": {"type": float, "default": 60, "help": "(default: 60)"}})
