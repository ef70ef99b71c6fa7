"""`--peers`: the same holds in FastAPI, with PostgreSQL and with Redis."""

import sys
from pathlib import Path

from harness.output import tell
from harness.processes import HarnessError, output_of
from harness.services import ROOT, create_product

from . import pgbench
from .plot import bars
from .redis import SCRIPT, Redis
from .report import contestants_table, ratios_table
from .rounds import Contestant, measure
from .sale import hold_at
from .session import Session

REQUIREMENTS = ROOT / "Benchmarks/peers/requirements.txt"

# For each worker. 1, 4, 8 and 16 are no faster: more connections only wait for the same row.
DB_CONNECTIONS = 2


def run(session: Session) -> list[str]:
    """Measures, writes and prints the report; returns the problems."""
    venv = install(ROOT / ".build/bench-venv")
    services = session.services
    ours, theirs = services.database("ours"), services.database("theirs")
    pgbench.prepare(theirs)
    server = services.server(ours)
    redis = Redis(services.redis())
    script = {"REDIS_PORT": str(redis.port), "REDIS_SCRIPT": SCRIPT}
    report = session.report("peers", "The same holds in FastAPI")
    contestants = [Contestant("holds", "flashsale", hold_at(f"{server.url}/api/holds", create_product(ours)))]
    for workers in (1, 2):
        count = f"{workers} worker{'s' if workers > 1 else ''}"
        contestants += [
            Contestant(f"PostgreSQL, {count}", "FastAPI and asyncpg, a transaction a hold", hold_at(services.uvicorn(
                venv, "with_postgres", workers, DATABASE_URL=theirs, DB_CONNECTIONS=str(DB_CONNECTIONS)), 1)),
            Contestant(f"Redis, {count}", "FastAPI and Redis, script, appendfsync always", hold_at(services.uvicorn(
                venv, "with_redis", workers, **script), 1)),
        ]
    tell("warming up")
    for contestant in contestants:
        contestant.measure(1)
    results = measure(contestants, session.rounds, session.seconds)

    report.add(f"{session.method} uvicorn with uvloop and httptools; {', '.join(versions())}.")
    report.add(contestants_table(contestants, results))
    report.add(ratios_table(results, [("holds", contestant.name) for contestant in contestants[1:]]))
    rates = {contestant.name: results.rate(contestant.name) for contestant in contestants}
    bars(report.chart("throughput"), "Holds over HTTP", rates, "per second")
    return report.finish(results, services.audits())


def versions() -> list[str]:
    return REQUIREMENTS.read_text().split()


def install(venv: Path) -> Path:
    """Creates a virtual environment with the packages of the peers, from PyPI, unless it exists."""
    stamp = venv / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        tell("installing FastAPI and the other packages of the peers from PyPI")
        try:
            output_of(sys.executable, "-m", "venv", "--clear", venv)
        except HarnessError as error:
            raise HarnessError(f"{error}: apt-get install python3-venv") from error
        output_of(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS)
        stamp.write_text(REQUIREMENTS.read_text())
    return venv
