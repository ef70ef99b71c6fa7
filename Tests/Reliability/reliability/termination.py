"""A server that buyers talk to directly is told to end, and answers whatever reached it.

After SIGTERM a new connection may be refused, and nothing else may go wrong: a request that was sent on a connection
which the server had accepted gets its answer, whole, and what that promises is kept.
"""

import argparse
import signal
import subprocess
import time
from pathlib import Path

from harness.services import NOTHING_LAPSES, Services, create_product

from .processes import Server, wait_for
from .promises import lost
from .shoppers import Crowd, told

SUMMARY = "a server that buyers talk to directly is told to end, and answers whatever reached it"

SHOPPERS = 24
STOCK = 1_000_000
# SHUTDOWN_TIMEOUT_SECONDS, and a bit.
ENDING_SECONDS_MAX = 15
STARTING_SECONDS_MAX = 30
# How long a server that was told to end still takes requests while it says that it is not ready: several times what a
# proxy takes to ask, and to act on the answer.
LEAVING_SECONDS = 1
SETTINGS = {**NOTHING_LAPSES, "SHUTDOWN_DELAY_SECONDS": str(LEAVING_SECONDS)}
BUYING_SECONDS = 1.0


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--terminations", type=int, default=10, help="how often (10)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    problems: list[str] = []
    answers = closing = refused = 0
    with Services(work) as services:
        url = services.database("termination")
        product = create_product(url, stock=STOCK)
        server = Server(1, work, url, SETTINGS)
        try:
            for number in range(options.terminations):
                start(server)
                with Crowd(SHOPPERS, [server.port], product, options.seed * 1000 + number) as crowd:
                    time.sleep(BUYING_SECONDS)
                    problems += terminate(server)
                broken = [failure for failure in crowd.failures if not failure.is_refusal]
                if broken:
                    problems.append(f"{len(broken)} requests failed: " + "; ".join(told(broken)))
                problems += crowd.broken + lost(crowd, url)
                answers += len(crowd.successes)
                closing += crowd.closing
                refused += len(crowd.failures) - len(broken)
        finally:
            server.end()
    print(f"{options.terminations} terminations: {answers} requests answered as expected, {closing} of them as the "
          f"last of their connection; {refused} connections refused")
    return problems


def start(server: Server) -> None:
    server.start()
    wait_for(server.is_ready, STARTING_SECONDS_MAX, f"{server.name} to be ready")


def terminate(server: Server) -> list[str]:
    """Sends SIGTERM and returns when it has ended: with what is wrong about how it did."""
    assert server.process is not None
    if server.process.poll() is not None:
        return [f"{server.name} ended by itself, with {server.process.returncode}"]
    server.send(signal.SIGTERM)
    try:
        status = server.process.wait(ENDING_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
        return [f"{server.name} did not end within {ENDING_SECONDS_MAX} s of SIGTERM"]
    return [f"{server.name} ended with {status} after SIGTERM"] if status != 0 else []
