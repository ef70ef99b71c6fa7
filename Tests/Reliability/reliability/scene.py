"""Servers, each behind a network of its own to one PostgreSQL, and whoever looks after them."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import HarnessError, output_of
from harness.services import FLASHSALE, sql

from .clocks import Clocks
from .disk import Disk
from .load import Product
from .processes import Database, Server, reserved_port
from .proxy import Proxy

HOLD_TTL = 3.0   # seconds: short, so that lapses matter
ORDER_TTL = 5.0

SETTINGS = {"HOLD_TTL_SECONDS": str(HOLD_TTL), "ORDER_TTL_SECONDS": str(ORDER_TTL), "LOG_LEVEL": "info"}


@dataclass
class Scene:
    work: Path
    disk: Disk
    database: Database
    servers: list[Server]
    proxies: list[Proxy]
    clocks: Clocks
    # Whether it is to run: what is down without having been told to is started again, as an operator's service manager
    # would do.
    is_wanted: dict[str, bool] = field(default_factory=dict)
    clock_of: dict[str, dict[str, str]] = field(default_factory=dict)  # of servers whose clocks are off
    background: list[asyncio.Task[None]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def sql(self, statements: str) -> str:
        return sql(self.database.url, statements)

    def add_products(self, count: int, stock: int, scarce_stock: int = 40) -> list[Product]:
        """The last one is scarce, if there are several."""
        products = []
        for id in range(1, count + 1):
            is_scarce = id == count > 1
            product = Product(id, scarce_stock if is_scarce else stock, 1000 * id, is_scarce)
            output_of(FLASHSALE, "product", "create", "--name", f"Product {id}", "--price", str(product.price),
                      "--currency", "USD", "--stock", str(product.stock), env={"DATABASE_URL": self.database.url})
            products.append(product)
        return products

    async def is_ready(self, server: Server) -> bool:
        return server.is_running and await asyncio.to_thread(server.is_ready)

    async def wait_until_ready(self, seconds: float) -> float | None:
        """Returns after how long all servers could serve; None if that was not so in time."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if all(await asyncio.gather(*(self.is_ready(server) for server in self.servers))):
                return time.monotonic() - start
            await asyncio.sleep(0.02)
        return None

    async def keep_servers_running(self) -> None:
        """Starts servers again that were ended. None ends by itself, not even one whose database is away."""
        while True:
            for server in self.servers:
                if self.is_wanted[server.name] and not server.is_running:
                    if not server.was_ended and server.process is not None:
                        self.violations.append(
                            f"{server.name} ended by itself, with {server.process.returncode}: see {server.log.name}")
                    server.start(self.clock_of.get(server.name))
            await asyncio.sleep(0.1)

    def audit(self) -> list[str] | None:
        """The invariants that are broken; None when the database cannot be asked."""
        try:
            result = subprocess.run([FLASHSALE, "audit", "--json", "--database-url", self.database.url],
                                    capture_output=True, text=True, timeout=60)
            checks = json.loads(result.stdout)["checks"]
        except (ValueError, subprocess.TimeoutExpired):
            return None
        return [f"{check['name']}: {check['violations']} rows" for check in checks if check["violations"]]


@asynccontextmanager
async def staged(
    work: Path, settings: Sequence[Mapping[str, str]] = (SETTINGS, SETTINGS), has_proxies: bool = True,
    preparation: str = "",
) -> AsyncIterator[Scene]:
    """Everything up and running until the end of the block, each server's network included.

    - settings: of each server.
    - has_proxies: whether each server has a network of its own that can be broken; it takes CPU.
    - preparation: statements to be run before the servers start.
    """
    with ExitStack() as stack:
        disk = Disk()
        stack.callback(disk.remove)
        database = Database(work, disk.data)
        stack.callback(database.end)
        await asyncio.to_thread(database.create)
        output_of(FLASHSALE, "migrate", env={"DATABASE_URL": database.url})
        if preparation:
            await asyncio.to_thread(sql, database.url, preparation)
        proxies, servers = [], []
        for number, own in enumerate(settings):
            url = database.url
            if has_proxies:
                proxy = Proxy(database.port)
                await proxy.open(reserved_port())
                proxies.append(proxy)
                url = database.url_at(proxy.port)
            server = Server(number, work, url, own)
            stack.callback(server.end)
            servers.append(server)
        scene = Scene(work, disk, database, servers, proxies, Clocks(work))
        for server in servers:
            server.start()
            scene.is_wanted[server.name] = True
        if await scene.wait_until_ready(20) is None:
            raise HarnessError("the servers did not start")
        supervisor = asyncio.create_task(scene.keep_servers_running())
        try:
            yield scene
        finally:
            supervisor.cancel()
            # The servers end while their network still works: they answer what they accepted.
            for proxy in proxies:
                proxy.thaw()
            await asyncio.gather(*(asyncio.to_thread(server.end) for server in servers), return_exceptions=True)
            for proxy in proxies:
                await proxy.close()
