"""`--lapse`: many holds lapse in the same second, during a sale."""

import statistics
import subprocess
import threading
import time
from dataclasses import dataclass

from harness.output import Spread, table, tell
from harness.processes import HarnessError
from harness.services import TIME_TO_LIVE, Server, create_product, sql
from harness.wrk import Sample, wrk

from .plot import lines
from .report import spread_cells
from .rounds import Results
from .seed import SeededHolds
from .session import Session

LAPSING = 100_000
BEFORE, AFTER = 5, 7  # measured seconds before and after the holds lapse
STEP = 0.25  # seconds between points of the chart


@dataclass(frozen=True)
class Round:
    seconds_to_last: float  # from the time when the holds lapsed until none of them was active
    rate_before: float
    rate_meanwhile: float
    timeline: list[float]  # holds per second, for each STEP
    sample: Sample


def run(session: Session) -> list[str]:
    """Measures, writes and prints the report; returns the problems."""
    url = session.services.database("lapse")
    server = session.services.server(url)
    report = session.report("lapse", f"{LAPSING:,} holds lapse in the same second")
    wrk(f"{server.url}/api/holds", 2, "holds.lua", PRODUCT=create_product(url))
    rounds = []
    for number in range(1, session.rounds + 1):
        tell(f"round {number} of {session.rounds}")
        rounds.append(one_round(server))

    report.add(
        f"Medians of {session.rounds} rounds. 64 connections place holds of one product all the time. A lapsed hold "
        "counts as available at once. The measured time is how long the server takes to expire the lapsed holds.")
    report.add(table(["", "median", "lowest to highest"], [
        [name, *spread_cells(Spread.of(values))] for name, values in (
            ("seconds until the last one was expired", [one.seconds_to_last for one in rounds]),
            ("holds per second before", [one.rate_before for one in rounds]),
            ("holds per second until then", [one.rate_meanwhile for one in rounds]),
            ("until then ÷ before", [one.rate_meanwhile / one.rate_before for one in rounds]),
            ("p99.9 of the whole round, ms", [one.sample.latencies["p99.9"] for one in rounds]),
        )]))
    steps = [f"{-BEFORE + index * STEP:g}" for index in range(len(rounds[0].timeline))]
    lines(
        report.chart("timeline"), f"{LAPSING:,} holds lapse at second 0", "seconds", "holds per second", steps,
        {"holds": [statistics.median(step) for step in zip(*(one.timeline for one in rounds), strict=True)]})
    return report.finish(Results({"holds": [one.sample for one in rounds]}), session.services.audits())


def one_round(server: Server) -> Round:
    url = server.database_url
    product = create_product(url)
    lapsing = SeededHolds(url, product, ordered=False)
    lapsing.add(LAPSING)
    # The holds lapse together after this time. The sale must have started at least BEFORE seconds earlier.
    lead_seconds = BEFORE + 8
    lapse_at = float(sql(url, f"""
        begin;
        update holds set expires_at = date_trunc('second', clock_timestamp()) + interval '{lead_seconds} s'
        where product_id = {product};
        update scheduled_jobs set run_at = (select max(expires_at) from holds where product_id = {product})
        where product_id = {product} and kind = 'expire_holds';
        commit;
        select extract(epoch from max(expires_at)) from holds where product_id = {product}"""))
    sql(url, "vacuum analyze holds")
    time.sleep(max(0, lapse_at - BEFORE - 1 - time.time()))

    samples: list[Sample] = []
    sale = threading.Thread(target=lambda: samples.append(
        wrk(f"{server.url}/api/holds", BEFORE + AFTER + 2, "holds.lua", PRODUCT=product)))
    sale.start()
    try:
        to_last = wait_until_expired(url, product, lapse_at)
    finally:
        sale.join()
    # The time at which a hold was placed follows from `expires_at`.
    placed = f"extract(epoch from expires_at) - {TIME_TO_LIVE} - {lapse_at}"
    rows = sql(url, f"""
        select floor(({placed}) / {STEP}), count(*) from holds
        where product_id = {product} and expires_at > to_timestamp({lapse_at}) group by 1""").splitlines()
    counts = {int(bucket): int(count) for bucket, count in (row.split("|") for row in rows)}
    timeline = [counts.get(bucket, 0) / STEP for bucket in range(round(-BEFORE / STEP), round(AFTER / STEP))]
    observed = min(to_last, AFTER)
    meanwhile = int(sql(url, f"""
        select count(*) from holds
        where product_id = {product} and expires_at > to_timestamp({lapse_at})
          and {placed} between 0 and {observed}"""))
    if not samples:
        raise HarnessError("the sale could not be measured")
    return Round(
        to_last, statistics.mean(timeline[:round(BEFORE / STEP)]), meanwhile / observed, timeline, samples[0])


def wait_until_expired(url: str, product: int, lapse_at: float) -> float:
    """Waits until the holds are expired; returns the seconds since `lapse_at`, by the database's clock."""
    query = f"""
        select exists (select from holds
                       where product_id = {product} and status = 'active' and expires_at <= to_timestamp({lapse_at})),
               extract(epoch from clock_timestamp()) - {lapse_at};\n"""
    psql = subprocess.Popen(
        ["psql", "-qXAt", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert psql.stdin and psql.stdout
    psql.stdin.write("set search_path = flashsale, public;\n")
    try:
        while True:
            time.sleep(max(0.05, lapse_at - time.time()))
            psql.stdin.write(query)
            is_active, seconds = psql.stdout.readline().split("|")
            if is_active == "f":
                return float(seconds)
            if float(seconds) > 60:
                raise HarnessError("the lapsed holds were not expired within a minute")
    finally:
        psql.stdin.close()
        psql.wait()
