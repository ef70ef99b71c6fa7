"""`--growth`: whether existing holds slow down new ones."""

import time

from harness.output import tell
from harness.services import create_product
from harness.wrk import Sample

from .plot import lines
from .report import contestants_table, ratios_table
from .rounds import Contestant, measure
from .sale import hold_at
from .seed import add_past_holds, remove_holds_since
from .session import Session


def run(session: Session) -> list[str]:
    """Measures, writes and prints the report; returns the problems."""
    sizes = [0, session.rows // 100, session.rows // 10, session.rows]
    contestants = [contestant(session, size) for size in sizes]
    report = session.report("growth", "With many holds in the database")
    tell("warming up")
    for one in contestants:
        one.measure(1)
    results = measure(contestants, session.rounds, session.seconds)
    names = [contestant.name for contestant in contestants]

    report.add(
        session.method + " Each size has its own database and server. All holds are of the product on sale. The holds "
        "of a round are removed before the next round.")
    report.add(contestants_table(contestants, results))
    report.add(ratios_table(results, [(name, names[0]) for name in names[1:]]))
    lines(
        report.chart("rows"), "Throughput against existing rows in holds", "rows", "holds per second",
        [f"{size:,}" for size in sizes], {"holds": [results.rate(name).median for name in names]})
    return report.finish(results, session.services.audits())


def contestant(session: Session, size: int) -> Contestant:
    tell(f"filling a database with {size:,} holds")
    url = session.services.database(f"rows_{size}")
    product = create_product(url)
    add_past_holds(url, product, size)
    server = session.services.server(url)
    hold = hold_at(f"{server.url}/api/holds", product)
    filled = int(time.time())

    def measure_at_this_size(seconds: float) -> Sample:
        remove_holds_since(url, product, filled)
        return hold(seconds)

    return Contestant(
        f"{size:,} rows", "half active, half expired" if size else "as a baseline", measure_at_this_size)
