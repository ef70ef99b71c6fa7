"""A server that buyers talk to directly is told to end, and answers whatever reached it.

After SIGTERM the server may refuse new connections, and nothing else may go wrong. Each request on an accepted connection
gets its whole response, and what the response promises is kept.
"""

import argparse
import asyncio
from pathlib import Path

from harness.services import NOTHING_LAPSES, Services, create_product

from .crowd import Crowd, failures
from .history import History
from .processes import Server
from .shop import Shop
from .trial import HISTORY, judge, print_calls

SUMMARY = "a server that buyers talk to directly is told to end, and answers whatever reached it"

BUYERS = 24
RATE = 800  # calls a second, of all buyers
STOCK = 1_000_000
# How long a server still takes requests after SIGTERM while it is not ready: several times what a proxy needs to ask and to
# act.
LEAVING_SECONDS = 1
SETTINGS = {**NOTHING_LAPSES, "SHUTDOWN_DELAY_SECONDS": str(LEAVING_SECONDS)}
BUYING_SECONDS = 1.0


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--terminations", type=int, default=10, help="how often (10)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    history = History(work / HISTORY)
    with Services(work) as services:
        url = services.database("termination")
        product = create_product(url, stock=STOCK)
        server = Server(0, work, url, SETTINGS)
        try:
            violations = asyncio.run(terminate(server, product, options.terminations, options.seed, history))
        finally:
            server.end()
        history.close()
        print_calls(history)
        return violations + judge(history, url, work)


async def terminate(server: Server, product: int, times: int, seed: int, history: History) -> list[str]:
    violations: list[str] = []
    for _ in range(times):
        await server.serve_soon()
        async with Crowd(Shop([product], RATE), BUYERS, [server.port], history, seed):
            await asyncio.sleep(BUYING_SECONDS)
            violations += await asyncio.to_thread(server.terminate)
    return violations + failures(history.calls, may_be_refused=True)
