"""PostgreSQL alone: pgbench with scripts that have the effect of a hold."""

from pathlib import Path

from harness.processes import output_of
from harness.services import ROOT, sql
from harness.wrk import PERCENTILES, Sample


def prepare(url: str) -> None:
    """Adds the product of the scripts, and its job, which the audit requires."""
    sql(url, """
        select create_product(1, 'Bench', 100, 'USD', 2000000000, null, null, null, null);
        insert into scheduled_jobs (product_id, kind, run_at)
        values (1, 'expire_holds', clock_timestamp() + interval '1 day')""")


def pgbench(url: str, script: str, seconds: float, work: Path, connections: int = 64) -> Sample:
    """Runs a script of Benchmarks/pgbench with prepared statements and one client thread."""
    log = work / "pgbench"
    log.mkdir(exist_ok=True)
    output_of(
        "pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(max(1, round(seconds))),
        "-f", ROOT / "Benchmarks/pgbench" / script, "--log", "--log-prefix", log / "transactions", url)
    times: list[tuple[float, float]] = []  # the end of a transaction in seconds, and its latency in milliseconds
    for file in log.iterdir():
        for line in file.read_text().splitlines():
            fields = line.split()
            times.append((int(fields[4]) + int(fields[5]) / 1e6, int(fields[2]) / 1000))
        file.unlink()
    ends = sorted(end for end, _ in times)
    latencies = sorted(latency for _, latency in times)
    return Sample(
        len(times) / (ends[-1] - ends[0]),
        {name: latencies[min(len(latencies) - 1, int(len(latencies) * float(name[1:]) / 100))] for name in PERCENTILES})
