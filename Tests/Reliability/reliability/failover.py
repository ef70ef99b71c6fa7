"""The primary of three databases is killed while a crowd buys; another takes over, and no promise is lost.

PostgreSQL under Patroni, with synchronous replication: a commit is acknowledged when a standby has it on disk, and only
such a standby may become the primary. Two servers find it by themselves (`target_session_attrs`), or through HAProxy.

    walsenders are stopped, so that what is committed from now on is nowhere else      (FREEZE_SECONDS)
    kill -9: Patroni and every process of its PostgreSQL
    a standby becomes the primary; buyers, who repeat what was not answered, are served again
    everything that was acknowledged is looked up in the new primary
    the killed node starts again, is rewound, and becomes a standby

Without synchronous replication the same run loses what was acknowledged while the walsenders were stopped: with
`--asynchronous` the run has to find that out.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.processes import HarnessError, output_of
from harness.services import FLASHSALE, NOTHING_LAPSES, create_product

from .haproxy import POSTGRESQL, proxying
from .patroni import PatroniCluster
from .processes import Server, wait_for
from .promises import lost, twice
from .shoppers import Crowd, told
from .termination import start

SUMMARY = "the primary of three PostgreSQL nodes under Patroni is killed"

SHOPPERS = 16
THINKING_SECONDS_MAX = 0.1
STOCK = 1_000_000
BUYING_SECONDS = 3.0
FREEZE_SECONDS = 0.3
# Patroni's `ttl`, its election, and the reconnection of all that follow.
GAP_SECONDS_MAX = 12.0
WAITING_SECONDS_MAX = 120.0


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--asynchronous", action="store_true",
                       help="without synchronous replication: passes when the loss is noticed")
    group.add_argument("--through-haproxy", action="store_true", help="one address for whichever is the primary")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    with ExitStack() as stack:
        cluster = stack.enter_context(PatroniCluster(work, is_synchronous=not options.asynchronous))
        url = cluster.url("flashsale")
        output_of(FLASHSALE, "migrate", env={"DATABASE_URL": url})
        product = create_product(url, stock=STOCK)
        if options.through_haproxy:
            databases = {node.name: f"127.0.0.1:{node.port} port {node.rest}" for node in cluster.nodes}
            proxy = stack.enter_context(proxying(work, databases, POSTGRESQL))
            url = f"postgresql://postgres@127.0.0.1:{proxy.port}/flashsale?connect_timeout=1&tcp_user_timeout=2000"
        servers = [Server(number, work, url, NOTHING_LAPSES) for number in (1, 2)]
        for server in servers:
            stack.callback(server.end)
            start(server)
        cluster.wait_until_whole()
        crowd = Crowd(SHOPPERS, [server.port for server in servers], product, options.seed,
                      insists=True, thinking_seconds_max=THINKING_SECONDS_MAX)
        gaps: list[float] = []
        with crowd:
            for number in range(10 if options.kills is None else options.kills):
                time.sleep(BUYING_SECONDS)
                replaced, gap, loss = _lose_primary(cluster, crowd, cluster.url("flashsale"))
                print(f"kill {number + 1}: another primary after {replaced:.1f} s, no write for {gap:.1f} s, "
                      f"lost so far: {'; '.join(loss) or 'nothing'}")
                gaps.append(gap)
        losses = lost(crowd, cluster.url("flashsale"))
        print(f"{len(gaps)} kills: median gap {median(gaps):.1f} s, longest {max(gaps):.1f} s; {len(crowd.holds)} "
              f"holds, {len(crowd.orders)} orders, {len(crowd.paid)} payments acknowledged; what was repeated: "
              f"{', '.join(told(crowd.failures)) or 'nothing'}")
        if options.asynchronous:
            print(f"noticed: {'; '.join(losses) or 'nothing'}")
            return [] if losses else ["replication was asynchronous and frozen, and no loss was noticed"]
        violations = losses + crowd.broken + twice(crowd, cluster.url("flashsale"))
        if median(gaps) > GAP_SECONDS_MAX:
            violations.append(f"the median gap is {median(gaps):.1f} s, more than {GAP_SECONDS_MAX:g}")
        try:
            output_of(FLASHSALE, "audit", env={"DATABASE_URL": cluster.url("flashsale")})
        except HarnessError as error:
            violations.append(f"the audit: {error}")
        return violations


def _lose_primary(cluster: PatroniCluster, crowd: Crowd, url: str) -> tuple[float, float, list[str]]:
    """Kills the primary and returns when the cluster is whole again: after how long there was another primary, for how
    long nobody could write, and what was lost."""
    primary = cluster.primary()
    if primary is None:
        raise HarnessError("there is no primary to be killed")
    primary.freeze_replication()
    time.sleep(FREEZE_SECONDS)
    killed = time.monotonic()
    primary.crash()
    replaced = wait_for(cluster.primary, WAITING_SECONDS_MAX, "another primary")
    since = time.monotonic()
    wait_for(lambda: crowd.last_write > since, WAITING_SECONDS_MAX, "a write after another node became the primary")
    loss = lost(crowd, url)
    primary.start()
    cluster.wait_until_whole()
    times = crowd.writes
    gap = max(later - earlier for earlier, later in zip(times, times[1:]) if later > killed)
    return replaced, gap, loss

