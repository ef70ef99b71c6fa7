"""Servers are restarted one after the other while a crowd buys, and nobody notices.

HAProxy asks each server whether it is ready. One that is told to end stops being ready first, and serves on until the
proxy has noticed; so there is no moment at which a request could meet a closed door. Nobody repeats a request here:
each answer that is not the expected one is counted, and none is allowed.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.services import Services, create_product

from .haproxy import proxying
from .processes import Server, wait_for
from .promises import lost
from .shoppers import Crowd, told
from .termination import SETTINGS, start, terminate

SUMMARY = "two servers behind HAProxy are restarted one after the other, and no request may fail"

SHOPPERS = 24
STOCK = 1_000_000
NOTICING_SECONDS_MAX = 10


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--times", type=int, default=20, help="restarts, of one server and the other in turns (20)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    problems: list[str] = []
    seconds: list[float] = []
    with Services(work) as services, ExitStack() as stack:
        url = services.database("restarts")
        product = create_product(url, stock=STOCK)
        servers = [Server(number, work, url, SETTINGS) for number in (1, 2)]
        for server in servers:
            stack.callback(server.end)
            start(server)
        proxy = stack.enter_context(proxying(work, {each.name: f"127.0.0.1:{each.port}" for each in servers}))
        with Crowd(SHOPPERS, [proxy.port], product, options.seed) as crowd:
            for number in range(options.times):
                wait_for(lambda: len(proxy.up()) == len(servers), NOTICING_SECONDS_MAX, "HAProxy to see both servers")
                server, began = servers[number % len(servers)], time.monotonic()
                problems += terminate(server)
                start(server)
                seconds.append(time.monotonic() - began)
        if doors := proxy.closed_doors():
            problems.append(f"HAProxy met {doors} closed doors")
        if crowd.failures:
            problems.append(f"{len(crowd.failures)} requests failed: " + "; ".join(told(crowd.failures)))
        problems += crowd.broken + lost(crowd, url)
    print(f"{len(seconds)} restarts, {median(seconds):.1f} s each: {len(crowd.successes)} requests answered as "
          f"expected, {len(crowd.failures)} not; {len(crowd.paid)} orders paid")
    return problems
