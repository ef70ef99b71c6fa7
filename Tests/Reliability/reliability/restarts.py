"""`--restarts` and `--termination`: servers get SIGTERM while a crowd buys, and no request fails.

In `--restarts` HAProxy asks each server whether it is ready. A server that gets SIGTERM first stops being ready, and serves
on until HAProxy has noticed. So no request meets a closed port. In `--termination` the server may refuse new connections
after SIGTERM. Each request on an accepted connection gets its whole response. Buyers do not repeat requests.
"""

import argparse
import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.services import NOTHING_LAPSES

from .crowd import failures
from .haproxy import proxying
from .mode import Mode
from .postgres import postgres
from .processes import Server, wait_for
from .trial import Sale, print_calls

BUYERS = 24
RATE = 800  # calls a second, of all buyers
# How long a server still takes requests after SIGTERM while it is not ready: several times what a proxy needs to ask and to
# act.
SETTINGS = {**NOTHING_LAPSES, "SHUTDOWN_DELAY_SECONDS": "1"}
BUYING_SECONDS = 1.0
NOTICING_SECONDS_MAX = 10


async def restart(options: argparse.Namespace, work: Path) -> list[str]:
    violations: list[str] = []
    seconds: list[float] = []
    with ExitStack() as stack:
        sale = Sale(work, stack.enter_context(postgres(work)).add(), RATE, BUYERS, options.seed)
        servers = [Server(number, work, sale.url, SETTINGS) for number in (1, 2)]
        for server in servers:
            stack.callback(server.end)
            await server.serve()
        proxy = stack.enter_context(proxying(work, {each.name: f"127.0.0.1:{each.port}" for each in servers}))
        async with sale.crowd(proxy.port):
            for number in range(options.times):
                await asyncio.to_thread(
                    wait_for, lambda: len(proxy.up()) == len(servers), NOTICING_SECONDS_MAX, "HAProxy to see both servers")
                server, began = servers[number % len(servers)], time.monotonic()
                violations += await asyncio.to_thread(server.terminate)
                await server.serve()
                seconds.append(time.monotonic() - began)
        print(f"{len(seconds)} restarts, {median(seconds):.1f} s each")
        if doors := proxy.closed_doors():
            violations.append(f"HAProxy met {doors} closed doors")
        print_calls(sale.history)
        return violations + failures(sale.history.calls) + await sale.judge()


async def terminate(options: argparse.Namespace, work: Path) -> list[str]:
    violations: list[str] = []
    with ExitStack() as stack:
        sale = Sale(work, stack.enter_context(postgres(work)).add(), RATE, BUYERS, options.seed)
        server = Server(0, work, sale.url, SETTINGS)
        stack.callback(server.end)
        for _ in range(options.terminations):
            await server.serve()
            async with sale.crowd(server.port):
                await asyncio.sleep(BUYING_SECONDS)
                violations += await asyncio.to_thread(server.terminate)
        print_calls(sale.history)
        return violations + failures(sale.history.calls, may_be_refused=True) + await sale.judge()


RESTARTS = Mode("two servers behind HAProxy are restarted one after the other, and no request may fail", restart, {
    "--times": {"type": int, "default": 20, "help": "restarts, of one server and the other in turns (20)"}})
TERMINATION = Mode("a server that buyers talk to directly gets SIGTERM, and responds to all accepted requests", terminate, {
    "--terminations": {"type": int, "default": 10, "help": "how often (10)"}})
