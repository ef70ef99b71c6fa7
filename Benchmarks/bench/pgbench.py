"""PostgreSQL alone: pgbench, with the same effect as a hold."""

from pathlib import Path

from harness.processes import output_of
from harness.services import ROOT, sql
from harness.wrk import PERCENTILES, Sample


def prepare(url: str) -> None:
    """Adds the product that the scripts hold units of, and the job without which the audit would miss one."""
    sql(url, """
        select create_product(1, 'Bench', 100, 'USD', 2000000000, null, null, null, null);
        insert into scheduled_jobs (product_id, kind, run_at)
        values (1, 'expire_holds', clock_timestamp() + interval '1 day')""")


def pgbench(url: str, script: str, seconds: float, work: Path, connections: int = 64) -> Sample:
    """Runs a script of Benchmarks/pgbench, prepared, on as many connections, which one thread drives."""
    log = work / "pgbench"
    log.mkdir(exist_ok=True)
    output_of(
        "pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(max(1, round(seconds))),
        "-f", ROOT / "Benchmarks/pgbench" / script, "--log", "--log-prefix", log / "transactions", url)
    times: list[tuple[float, float]] = []  # when a transaction ended, in seconds; how long it took, in milliseconds
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
