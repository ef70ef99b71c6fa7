"""`--failover`: the primary of three databases is killed while a crowd buys; another takes over, and no promise is
lost.

PostgreSQL runs under Patroni, with synchronous replication. A commit is acknowledged when a standby has it on disk, and
only such a standby may become the primary. Two servers find it by themselves (`target_session_attrs`), or through
HAProxy.

    walsenders are stopped, so that later commits are nowhere else      (FREEZE_SECONDS)
    kill -9: Patroni and every process of its PostgreSQL
    a standby becomes the primary; buyers repeat calls without a response, and are served again
    the killed node starts again, is rewound, and becomes a standby
    in the end all calls are judged with the log of the last primary

Without synchronous replication the same run loses changes that were acknowledged while the walsenders were stopped.
With `--asynchronous` the checker has to report that.
"""

import argparse
import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.processes import HarnessError
from harness.services import NOTHING_LAPSES, migrate

from .checker import changes
from .haproxy import POSTGRESQL, proxying
from .history import History, failures, writes
from .patroni import Cluster, clustered
from .processes import Server, serving, wait_for
from .trial import Sale, print_calls

BUYERS = 16
RATE = 250  # calls a second, of all buyers
BUYING_SECONDS = 3.0
FREEZE_SECONDS = 0.3
# Patroni's `ttl`, its election, and the reconnection of all that follow.
GAP_SECONDS_MAX = 12.0
WAITING_SECONDS_MAX = 120.0


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    with ExitStack() as stack:
        cluster = stack.enter_context(clustered(work, is_synchronous=not options.asynchronous))
        url = cluster.url()
        migrate(url)
        changes.install(url)
        sale = Sale(work, url, RATE, BUYERS, options.seed)
        if options.through_haproxy:
            databases = {node.name: f"127.0.0.1:{node.port} port {node.rest}" for node in cluster.nodes}
            proxy = stack.enter_context(proxying(work, databases, POSTGRESQL))
            url = f"postgresql://postgres@127.0.0.1:{proxy.port}/flashsale?connect_timeout=1&tcp_user_timeout=2000"
        servers = [Server(number, work, url, NOTHING_LAPSES) for number in (0, 1)]
        async with serving(*servers):
            cluster.wait_until_whole()
            gaps: list[float] = []
            async with sale.crowd(*(server.port for server in servers)):
                for number in range(10 if options.kills is None else options.kills):
                    await asyncio.sleep(BUYING_SECONDS)
                    replaced, gap = await lose_primary(cluster, sale.history)
                    print(f"kill {number + 1}: another primary after {replaced:.1f} s, no write for {gap:.1f} s")
                    gaps.append(gap)
            print(f"{len(gaps)} kills: median gap {median(gaps):.1f} s, longest {max(gaps):.1f} s")
            print_calls(sale.history)
            print(f"repeated: {', '.join(failures(sale.history.calls)) or 'nothing'}")
            found = await sale.judge()
    if options.asynchronous:
        losses = [violation for violation in found if "is not in the database" in violation]
        print(f"noticed: {len(losses)} losses, such as {losses[0] if losses else 'none'}")
        return [] if losses else ["replication was asynchronous and frozen, and no loss was noticed"]
    if median(gaps) > GAP_SECONDS_MAX:
        found.append(f"the median gap is {median(gaps):.1f} s, more than {GAP_SECONDS_MAX:g}")
    return found


async def lose_primary(cluster: Cluster, history: History) -> tuple[float, float]:
    """Kills the primary and returns when the cluster is whole again: after how long there was another primary, and for
    how long nobody could write."""
    primary = cluster.primary()
    if primary is None:
        raise HarnessError("there is no primary to be killed")
    await asyncio.to_thread(primary.freeze_replication)
    await asyncio.sleep(FREEZE_SECONDS)
    killed = time.monotonic()
    await asyncio.to_thread(primary.kill, str(primary.data))  # Patroni, and all processes of its PostgreSQL
    replaced = await asyncio.to_thread(wait_for, cluster.primary, WAITING_SECONDS_MAX, "another primary")
    seen = len(history.calls)
    await asyncio.to_thread(wait_for, lambda: writes(history.calls[seen:]), WAITING_SECONDS_MAX,
                            "a write after another node became the primary")
    primary.start()  # by the thread that goes on: see `Server.serve`
    await asyncio.to_thread(cluster.wait_until_whole)
    times = writes(history.calls)
    return replaced, max(later - earlier for earlier, later in zip(times, times[1:]) if later > killed)
