"""Servers are restarted one after the other while a crowd buys, and no request fails.

HAProxy asks each server whether it is ready. A server that is told to end first stops being ready, and serves on until
HAProxy has noticed. So no request meets a closed port. Buyers do not repeat requests, so each failure counts.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.services import Services, create_product

from .crowd import Crowd, failures
from .haproxy import Proxy, proxying
from .history import History
from .processes import Server, wait_for
from .shop import Shop
from .termination import BUYERS, RATE, SETTINGS, STOCK
from .trial import HISTORY, judge, print_calls

SUMMARY = "two servers behind HAProxy are restarted one after the other, and no request may fail"

NOTICING_SECONDS_MAX = 10


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--times", type=int, default=20, help="restarts, of one server and the other in turns (20)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    history = History(work / HISTORY)
    with Services(work) as services, ExitStack() as stack:
        url = services.database("restarts")
        product = create_product(url, stock=STOCK)
        servers = [Server(number, work, url, SETTINGS) for number in (1, 2)]
        for server in servers:
            stack.callback(server.end)
            server.serve()
        proxy = stack.enter_context(proxying(work, {each.name: f"127.0.0.1:{each.port}" for each in servers}))
        violations = asyncio.run(restart(servers, proxy, product, options, history))
        if doors := proxy.closed_doors():
            violations.append(f"HAProxy met {doors} closed doors")
        history.close()
        print_calls(history)
        return violations + failures(history.calls) + judge(history, url, work)


async def restart(
    servers: Sequence[Server], proxy: Proxy, product: int, options: argparse.Namespace, history: History
) -> list[str]:
    violations: list[str] = []
    seconds: list[float] = []
    async with Crowd(Shop([product], RATE), BUYERS, [proxy.port], history, options.seed):
        for number in range(options.times):
            await asyncio.to_thread(
                wait_for, lambda: len(proxy.up()) == len(servers), NOTICING_SECONDS_MAX, "HAProxy to see both servers")
            server, began = servers[number % len(servers)], time.monotonic()
            violations += await asyncio.to_thread(server.terminate)
            await server.serve_soon()
            seconds.append(time.monotonic() - began)
    print(f"{len(seconds)} restarts, {median(seconds):.1f} s each")
    return violations
