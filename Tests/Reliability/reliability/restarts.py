"""`--restarts` and `--termination`: servers get SIGTERM while a crowd buys, and no request fails.

In `--restarts` HAProxy asks each server whether it is ready. A server that gets SIGTERM first stops being ready, and
serves on until HAProxy has noticed. So no request meets a closed port. In `--termination` the server may refuse new
connections after SIGTERM. Each request on an accepted connection gets its whole response. Buyers do not repeat
requests.
"""

import argparse
import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.services import NOTHING_LAPSES

from .haproxy import Proxy, proxying
from .history import failures
from .postgres import postgres
from .processes import Server, serving, wait_for
from .trial import Sale, print_calls

BUYERS = 24
RATE = 800  # calls a second, of all buyers
# How long a server still takes requests after SIGTERM while it is not ready: several times what a proxy needs to ask
# and to act.
SETTINGS = {**NOTHING_LAPSES, "SHUTDOWN_DELAY_SECONDS": "1"}
BUYING_SECONDS = 1.0
NOTICING_SECONDS_MAX = 10


async def restart(options: argparse.Namespace, work: Path) -> list[str]:
    return await run(work, options.seed, options.times, is_balanced=True)


async def terminate(options: argparse.Namespace, work: Path) -> list[str]:
    return await run(work, options.seed, options.terminations, is_balanced=False)


async def run(work: Path, seed: int, times: int, is_balanced: bool) -> list[str]:
    violations: list[str] = []
    seconds: list[float] = []
    with ExitStack() as stack:
        sale = Sale(work, stack.enter_context(postgres(work)).add(), RATE, BUYERS, seed)
        servers = [Server(number, work, sale.url, SETTINGS) for number in range(2 if is_balanced else 1)]
        async with serving(*servers):
            proxy: Proxy | None = None
            if is_balanced:
                addresses = {server.name: f"127.0.0.1:{server.port}" for server in servers}
                proxy = stack.enter_context(proxying(work, addresses))
            async with sale.crowd(proxy.port if proxy else servers[0].port):
                for number in range(times):
                    if proxy:
                        await asyncio.to_thread(wait_for, lambda: len(proxy.up()) == len(servers), NOTICING_SECONDS_MAX,
                                                "HAProxy to see both servers")
                    else:
                        await asyncio.sleep(BUYING_SECONDS)
                    server, began = servers[number % len(servers)], time.monotonic()
                    violations += await asyncio.to_thread(server.terminate)
                    await server.serve()
                    seconds.append(time.monotonic() - began)
            if proxy and (doors := proxy.closed_doors()):
                violations.append(f"HAProxy met {doors} closed doors")
        print(f"{len(seconds)} restarts, {median(seconds):.1f} s each")
        print_calls(sale.history)
        return violations + failures(sale.history.calls, may_be_refused=not is_balanced) + await sale.judge()
