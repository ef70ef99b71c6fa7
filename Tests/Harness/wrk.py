"""wrk, the load generator: one thread, so that the server has the rest of the machine."""

import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass

from .processes import HarnessError
from .services import ROOT

PERCENTILES = ("p50", "p90", "p99", "p99.9")


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    rate: float  # per second
    latencies: dict[str, float]  # milliseconds, by percentile
    faults: int = 0  # answers other than expected, failed connections


def wrk(
    url: str, seconds: float, script: str = "report.lua", connections: int = 64, expects_refusals: bool = False,
    counts_finished: bool = False, until: threading.Event | None = None, **variables: object,
) -> Sample:
    """Loads a URL with requests, or with those that a script makes from the variables: one in Benchmarks/wrk, or
    anywhere else by its whole path.

    - expects_refusals: an answer of 4xx is what should come, and any other a fault.
    - counts_finished: the rate is of what the script counts as finished instead of requests.
    - until: ends it before its time.
    """
    process = subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", script, url],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}}, cwd=ROOT / "Benchmarks/wrk",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        if until is not None and until.wait(seconds):
            process.send_signal(signal.SIGINT)  # it reports then
        output, _ = process.communicate()
    finally:
        process.kill()
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise HarnessError(f"wrk -s {script} says: {(output.strip().splitlines() or ['nothing'])[-1]}")
    result = json.loads(line.removeprefix("RESULT "))
    unexpected = result["requests"] - result["not_2xx"] if expects_refusals else result["not_2xx"]
    done = result["finished"] if counts_finished else result["requests"]
    return Sample(
        done / result["seconds"], {name: result[name] for name in PERCENTILES}, unexpected + result["socket_errors"])
