"""Servers, each behind a network of its own to one PostgreSQL on a small disk, and their supervisor."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import HarnessError, output_of
from harness.services import create_product, sql

from .checker.conditions import Conditions
from .client import TOKEN
from .endpoint import Endpoint
from .network import Proxy
from .postgres import Postgres, postgres
from .processes import STARTS_WITHIN, Server, beside, wait_for

HOLD_TTL = 3.0   # seconds: short, so that lapses matter
ORDER_TTL = 5.0
TTLS = ((HOLD_TTL, ORDER_TTL), (HOLD_TTL, ORDER_TTL))  # of each server
# Not in the project: its folder may be closed to other users.
PARENT = Path("/var/tmp")
PREFIX = "flashsale-reliability-"
SIZE_MB = 2048  # half an hour of --chaos takes most of the half


class Disk:
    """A folder that PostgreSQL's user may enter, with a file system of its own where mounting is allowed."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.mount, self.data = folder / "disk", folder / "disk/data"
        self.mount.mkdir()
        self.obstacle = "" if os.geteuid() == 0 else "mounting takes root"
        if not self.obstacle:
            try:
                # A file with ext4, so that flushes reach the real disk.
                output_of("mkfs.ext4", "-q", "-m", "0", folder / "image", f"{SIZE_MB}M")
                output_of("mount", "-o", "loop", folder / "image", self.mount)
            except (HarnessError, OSError) as error:
                self.obstacle = str(error)
        self.data.mkdir()

    def fill(self) -> None:
        """Takes all the space there is."""
        with open(self.mount / "filler", "ab") as file:
            size, step = os.fstat(file.fileno()).st_size, 64 << 20
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def drain(self) -> None:
        (self.mount / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[Disk]:
    for left in PARENT.glob(f"{PREFIX}*-*"):
        if not Path("/proc", left.name.removeprefix(PREFIX).split("-")[0]).exists():
            remove(left)  # of a run that was killed
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=PARENT))
    try:
        yield Disk(folder)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    if (folder / "disk").is_mount():
        output_of("umount", folder / "disk")
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Scene:
    work: Path
    disk: Disk
    database: Postgres
    conditions: Conditions
    servers: list[Server] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    background: list[asyncio.Task[None]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def sql(self, statements: str) -> str:
        return sql(self.database.url(), statements)

    def add_products(self, count: int, stock: int, last_stock: int | None = None) -> list[int]:
        """Returns the products' ids. The last product may have another stock."""
        stocks = [stock] * (count - 1) + [last_stock or stock]
        return [create_product(self.database.url(), f"Product {number}", units, price=1000 * number)
                for number, units in enumerate(stocks, 1)]

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Records that processes of the database are stopped."""
        begin = time.time()
        try:
            yield
        finally:
            self.conditions.stalls.append((begin, time.time()))

    async def wait_until_ready(self, servers: Sequence[Server] = ()) -> float:
        """Returns after how long all servers could serve, or these; raises `HarnessError` if they cannot in time."""
        return await asyncio.to_thread(
            wait_for, lambda: all(server.is_running and server.is_ready() for server in servers or self.servers),
            STARTS_WITHIN, "servers to be ready", 0.02)

    async def keep_servers_running(self) -> None:
        """Starts servers again that the harness has ended. No server ends by itself, even while its database is
        away."""
        while True:
            for server in self.servers:
                if server.is_wanted and not server.is_running:
                    if server.starts and not server.was_ended:
                        self.violations.append(
                            f"{server.name} ended by itself, with {server.process.returncode}: see {server.log.name}")
                    server.start()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def staged(
    work: Path, ttls: Sequence[tuple[float, float]] = TTLS, settings: Mapping[str, str] | None = None,
    has_proxies: bool = True, preparation: str = "",
) -> AsyncIterator[Scene]:
    """Everything up and running until the end of the block, each server's network included.

    - ttls: of the holds and of the orders of each server.
    - has_proxies: whether each server has a network of its own that can be broken; it takes CPU.
    - preparation: statements to be run before the servers start.
    """
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(small_disk())
        database = stack.enter_context(postgres(work, disk.data))
        url = database.add()
        if preparation:
            sql(url, preparation)
        holds, orders = zip(*ttls)
        scene = Scene(work, disk, database, Conditions(holds, orders))
        for number, (hold_ttl, order_ttl) in enumerate(ttls):
            port = None
            if has_proxies:
                scene.proxies.append(await stack.enter_async_context(Proxy(database.port)))
                port = scene.proxies[-1].port
            scene.servers.append(Server(number, work, database.url(port=port), {
                "HOLD_TTL_SECONDS": str(hold_ttl), "ORDER_TTL_SECONDS": str(order_ttl), "LOG_LEVEL": "info",
                "ADMIN_TOKEN": TOKEN, "EVENT_WEBHOOKS_ALLOW_PRIVATE": "true", **(settings or {})}))
        try:
            async with beside(scene.keep_servers_running()):
                await scene.wait_until_ready()
                yield scene
        finally:
            # The servers end while their network still works: they respond to the requests that they accepted.
            for proxy in scene.proxies:
                proxy.thaw()
            await asyncio.gather(*(asyncio.to_thread(server.end) for server in scene.servers), return_exceptions=True)
