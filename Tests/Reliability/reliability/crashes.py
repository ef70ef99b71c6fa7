"""SIGKILL of servers and of PostgreSQL under load. Nothing that was acknowledged is missing, and service returns within
two seconds."""

import argparse
import asyncio
import random
import statistics
import time
from pathlib import Path

from .processes import Server
from .scene import Scene, staged
from .trial import Trial

SUMMARY = "many crashes of servers and of PostgreSQL under load, and how long each took to serve again"

# From when PostgreSQL accepts connections again, and from when a server is started again.
READY_WITHIN = 2.0   # seconds
CLIENTS = 50
# Load between two crashes.
PAUSE = (0.2, 0.6)   # seconds


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--kills", type=int, help="of servers (default: 200); with --failover, of primaries (10)")
    group.add_argument("--database-crashes", type=int, default=50, help="(default: 50)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    return asyncio.run(run_crashes(options, work))


async def run_crashes(options: argparse.Namespace, work: Path) -> list[str]:
    rng = random.Random(options.seed)
    crashes = ["server"] * (200 if options.kills is None else options.kills) + ["database"] * options.database_crashes
    rng.shuffle(crashes)
    after_kill: list[float] = []
    after_crash: list[float] = []
    recovery: list[float] = []
    async with staged(work) as scene:
        stocks = await asyncio.to_thread(scene.add_products, 5, 1000 + 20 * len(crashes))
        trial = Trial(scene, stocks, 250, CLIENTS, options.seed)
        trial.start()
        for crash in crashes:
            await asyncio.sleep(rng.uniform(*PAUSE))
            if crash == "server":
                after_kill.append(await kill(scene, rng.choice(scene.servers)))
            else:
                recovered, served = await crash_database(scene)
                recovery.append(recovered)
                after_crash.append(served)
            await trial.audit(f"after a crash of the {crash}")
            late = (after_kill if crash == "server" else after_crash)[-1]
            if late > READY_WITHIN:
                trial.violations.append(f"ready {late:.2f} s after the {crash} was back, not within {READY_WITHIN}")
        await trial.finish()
    print(f"{'':52}  {'times':>5}  {'median':>6}  {'most':>6}")
    for what, times in (("s from a server's start until it was ready", after_kill),
                        ("s from PostgreSQL's start until it took connections", recovery),
                        ("s from then until both servers were ready", after_crash)):
        if times:
            print(f"{what:52}  {len(times):5}  {statistics.median(times):6.3f}  {max(times):6.3f}")
    return trial.violations


async def kill(scene: Scene, server: Server) -> float:
    """Returns how many seconds after its start it was ready again."""
    scene.is_wanted[server.name] = False
    await asyncio.to_thread(server.kill)
    scene.is_wanted[server.name] = True
    server.start()
    return await scene.wait_until_ready([server])


async def crash_database(scene: Scene) -> tuple[float, float]:
    """Returns how many seconds it took to recover, and the servers to be ready after that."""
    await asyncio.to_thread(scene.database.kill)
    start = time.monotonic()
    await asyncio.to_thread(scene.database.start)
    return time.monotonic() - start, await scene.wait_until_ready()
