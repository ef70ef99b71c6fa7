"""Faults. Each breaks something for some seconds, then repairs it as an operator would, and leaves the recovery to
servers."""

import asyncio
import random
import shutil
import signal
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime

from harness.processes import HarnessError, output_of
from harness.services import ROOT

from .processes import send
from .scene import Scene

Fault = Callable[[Scene, random.Random], Awaitable[None]]

CLOCK = "clock.so"  # loaded into a server, it moves its wall clock


async def server_killed(scene: Scene, rng: random.Random, pause: float = 1.5) -> None:
    server = rng.choice(scene.servers)
    server.is_wanted = False
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(rng.uniform(0, pause))
    server.is_wanted = True


async def server_stopped(scene: Scene, rng: random.Random) -> None:
    """SIGSTOP, SIGCONT: a machine that hangs, or a virtual one that is moved."""
    with rng.choice(scene.servers).stopped():
        await asyncio.sleep(rng.uniform(0.3, 3.5))


async def server_clock_off(scene: Scene, rng: random.Random) -> None:
    """An hour ahead or behind of the database's, from a restart on."""
    server = rng.choice(scene.servers)
    server.is_wanted = False
    await asyncio.to_thread(server.end)
    seconds = rng.choice((3600, -3600))
    server.settings |= {"LD_PRELOAD": str(scene.work / CLOCK), "CLOCK_OFF_SECONDS": str(seconds)}
    server.is_wanted = True
    await scene.wait_until_ready([server])
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health/live", timeout=5) as response:
        ahead = parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
    if abs(ahead - seconds) > 5:
        raise HarnessError("the server's clock is right")


async def backend_signalled(scene: Scene, rng: random.Random, number: signal.Signals) -> int:
    """Sends a signal to a process of PostgreSQL that serves a server: a busy one, if there is one. Returns its id."""
    for condition in ("state = 'active'", "true"):
        backends = await asyncio.to_thread(
            scene.sql, "select pid from pg_stat_activity where application_name = 'flashsale' "
                       f"and backend_type = 'client backend' and {condition} order by pid")
        if backends:
            backend = int(rng.choice(backends.split()))
            send(backend, number)
            return backend
    raise HarnessError("no server is connected to the database")


async def backend_killed(scene: Scene, rng: random.Random) -> None:
    """PostgreSQL cannot trust its shared memory then, ends all its other processes and recovers."""
    await backend_signalled(scene, rng, signal.SIGKILL)


async def backend_stopped(scene: Scene, rng: random.Random) -> None:
    """It keeps the locks that it has."""
    with scene.stalled():
        backend = await backend_signalled(scene, rng, signal.SIGSTOP)
        try:
            await asyncio.sleep(rng.uniform(0.3, 3.5))
        finally:
            send(backend, signal.SIGCONT)


async def database_killed(scene: Scene, rng: random.Random, pause: float = 1) -> None:
    await asyncio.to_thread(scene.database.kill)
    await asyncio.sleep(rng.uniform(0, pause))
    await asyncio.to_thread(scene.database.start)


async def database_stopped(scene: Scene, rng: random.Random) -> None:
    """All of it hangs, for a shorter or a longer time than servers wait."""
    with scene.stalled(), scene.database.stopped():
        await asyncio.sleep(rng.uniform(0.3, 6))


def database_restarted(number: signal.Signals) -> Fault:
    """SIGINT: fast, but in order. SIGQUIT: at once, so that it has to recover."""
    async def fault(scene: Scene, rng: random.Random) -> None:
        scene.database.process.send_signal(number)
        await asyncio.to_thread(scene.database.process.wait, 30)
        await asyncio.to_thread(scene.database.start)
    return fault


async def network_cut(scene: Scene, rng: random.Random) -> None:
    """Several resets, as by a firewall that forgets connections."""
    proxy = rng.choice(scene.proxies)
    for _ in range(rng.randrange(1, 6)):
        proxy.cut()
        await asyncio.sleep(rng.uniform(0.02, 0.4))


async def network_away(scene: Scene, rng: random.Random) -> None:
    """Resets existing connections, and new ones at once."""
    proxy = rng.choice(scene.proxies)
    proxy.is_refusing = True
    proxy.cut()
    await asyncio.sleep(rng.uniform(0.3, 3))
    proxy.is_refusing = False


async def network_frozen(scene: Scene, rng: random.Random) -> None:
    """Nothing passes, nothing breaks; what was sent arrives later, unless the connection is given up."""
    proxy = rng.choice(scene.proxies)
    proxy.freeze()
    await asyncio.sleep(rng.uniform(0.5, 4))
    if rng.random() < 0.5:
        proxy.cut()
    proxy.thaw()


async def network_slow(scene: Scene, rng: random.Random) -> None:
    proxy = rng.choice(scene.proxies)
    proxy.delay = rng.uniform(0.02, 0.3)
    await asyncio.sleep(rng.uniform(1, 4))
    proxy.delay = 0


async def listener_half_open(scene: Scene, rng: random.Random) -> None:
    """Notifications are lost silently, and polling has to replace them."""
    proxy = rng.choice(scene.proxies)
    silent = {link for link in proxy.links if link.is_listener}
    if not silent:
        raise HarnessError("no connection has sent LISTEN")
    for link in silent:
        link.is_silent = True
    # The server itself notices after seven seconds. Before that, the network may do so.
    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(2, 6))
        for link in silent:
            link.reset()
        return
    await asyncio.sleep(8.5)
    if not any(link.is_listener for link in proxy.links - silent):
        raise HarnessError("the server did not LISTEN anew")


async def row_held(scene: Scene, rng: random.Random) -> None:
    """Another transaction locks a product's row."""
    product = 1 + rng.randrange(int(await asyncio.to_thread(scene.sql, "select count(*) from products")))
    await asyncio.to_thread(scene.sql, f"begin; select from products where id = {product} for update; "
                                       "select pg_sleep(3); commit")


async def old_snapshot(scene: Scene, rng: random.Random) -> None:
    """A long report, whose snapshot keeps old row versions from being pruned. Other faults may end it."""
    async def report() -> None:
        with suppress(HarnessError):
            await asyncio.to_thread(scene.sql, "begin isolation level repeatable read; select count(*) from holds; "
                                               "select pg_sleep(20); commit")
    scene.background.append(asyncio.create_task(report()))


async def endpoint_failing(scene: Scene, rng: random.Random) -> None:
    """An endpoint of events responds with an error, late, or not at all: to some requests, or to all."""
    endpoint = rng.choice(scene.endpoints)
    usual, endpoint.trouble = endpoint.trouble, rng.choice((0.3, 1.0))
    await asyncio.sleep(rng.uniform(0.5, 3))
    endpoint.trouble = usual


async def disk_full(scene: Scene, rng: random.Random) -> None:
    """PostgreSQL panics when its log cannot grow, and stays down when recovery finds no room either."""
    await asyncio.to_thread(scene.disk.fill)
    try:
        # The log still has some files: use them up.
        for _ in range(30):
            await asyncio.to_thread(scene.sql, "select pg_switch_wal()")
            await asyncio.sleep(0.1)
        is_full = False
    except HarnessError:
        is_full = True
        await asyncio.sleep(rng.uniform(0, 1.5))
    scene.disk.drain()
    await asyncio.sleep(0.3)
    if not scene.database.is_running:
        await asyncio.to_thread(scene.database.start)
    if not is_full:
        raise HarnessError("the disk did not become full")


FAULTS: dict[str, Fault] = {
    "server killed": server_killed, "server stopped": server_stopped, "server's clock an hour off": server_clock_off,
    "backend killed": backend_killed, "backend stopped": backend_stopped, "database killed": database_killed,
    "database stopped": database_stopped,
    "database restarted, fast": database_restarted(signal.SIGINT),
    "database restarted, at once": database_restarted(signal.SIGQUIT),
    "connections cut": network_cut, "network away": network_away, "network frozen": network_frozen,
    "network slow": network_slow, "listener half open": listener_half_open, "product's row held": row_held,
    "old snapshot": old_snapshot, "endpoint failing": endpoint_failing, "disk full": disk_full,
}


def possible(scene: Scene) -> dict[str, Fault]:
    """The faults that this machine allows. Prints why it does not allow others."""
    obstacles = {"disk full": scene.disk.obstacle}
    compiler = shutil.which("cc") or shutil.which("clang") or "cc"  # Swift brings clang with it
    try:
        output_of(compiler, "-O2", "-shared", "-fPIC", "-o", scene.work / CLOCK, ROOT / "Tests/Reliability/clock.c")
    except (HarnessError, OSError) as error:
        obstacles["server's clock an hour off"] = f"the C compiler failed: {error}"
    for name, obstacle in obstacles.items():
        if obstacle:
            print(f"not tried: {name}: {obstacle}")
    return {name: fault for name, fault in FAULTS.items() if not obstacles.get(name)}
