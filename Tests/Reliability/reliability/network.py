"""The network between a server and its database, and its faults."""

import asyncio
import os
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.processes import HarnessError, free_port, output_of

CHUNK = 65536


@dataclass(eq=False)
class Link:
    """A connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_listener: bool = False  # it has sent LISTEN
    is_silent: bool = False    # nothing passes

    def reset(self) -> None:
        """Breaks the connection with RST on both sides, whatever is under way."""
        for writer in (self.client, self.server):
            with suppress(AttributeError, OSError):  # closed already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """A TCP proxy whose connections can be cut, slow or silent. Data that is sent into silence waits in the kernel."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.delay = 0.0            # seconds, for each chunk and direction
        self.is_refusing = False    # resets new connections at once
        self.links: set[Link] = set()
        self._blocks = (False, False)  # what is sent to the server, to the client
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for link in list(self.links):
            link.reset()

    def freeze(self, replies_only: bool = False) -> None:
        """Stops forwarding. Connections stay open, and new ones are accepted."""
        self._blocks = (not replies_only, True)

    def forget(self) -> None:
        """The existing connections fall silent, as if a firewall had lost them from its table."""
        for link in self.links:
            link.is_silent = True

    def thaw(self) -> None:
        self._blocks = (False, False)
        for link in self.links:
            link.is_silent = False

    def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.create_task(self._serve(reader, client)))

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            replies, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        self.links.add(link)
        if self.is_refusing:
            link.reset()
        directions = [asyncio.create_task(self._forward(link, reader, server)),
                      asyncio.create_task(self._forward(link, replies, client))]
        try:
            # Either side's end is the connection's.
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the proxy closes
        finally:
            self.links.discard(link)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            client.close()
            server.close()

    async def _forward(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            while chunk := await reader.read(CHUNK):
                link.is_listener |= writer is link.server and b'listen "' in chunk
                while (link.is_silent or self._blocks[writer is link.client]) and not writer.is_closing():
                    await asyncio.sleep(0.005)
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(chunk)
                await writer.drain()


class Firewall:
    """Drops incoming packets of a port of this machine, as a network that loses them. Neither end is told of anything,
    and nothing is acknowledged. (A proxy's kernel acknowledges data that the proxy does not forward.)"""

    def __init__(self, port: int) -> None:
        """Raises `HarnessError` where this machine or this user may not have a firewall."""
        self.port = port
        self._table = f"inet flashsale-{os.getpid()}"
        try:
            # Of runs that were killed.
            for table, owner in re.findall(r"^table (inet flashsale-(\d+))$", output_of("nft", "list", "tables"), re.M):
                if not Path("/proc", owner).exists():
                    output_of("nft", f"delete table {table}")
            self.freeze()
            self.thaw()
        except OSError as error:
            raise HarnessError(f"nft: {error}") from None

    def freeze(self, replies_only: bool = False) -> None:
        self._drop(f"tcp sport {self.port}", *([] if replies_only else [f"tcp dport {self.port}"]))

    def forget(self) -> None:
        listed = output_of("ss", "-Htn", "state", "established", f"( dport = :{self.port} )")
        clients = sorted(set(re.findall(rf":(\d+)\s+\S+:{self.port}\b", listed)))
        if not clients:
            raise HarnessError("there is no connection to forget")
        ports = f"{{ {', '.join(clients)} }}"
        self._drop(f"tcp sport {self.port} tcp dport {ports}", f"tcp dport {self.port} tcp sport {ports}")

    def thaw(self) -> None:
        output_of("nft", f"add table {self._table}; delete table {self._table}")

    def _drop(self, *rules: str) -> None:
        """Replaces all rules at once."""
        output_of("nft", "; ".join([
            f"add table {self._table}", f"flush table {self._table}",
            f"add chain {self._table} arriving {{ type filter hook input priority 0; policy accept; }}",
            *(f"add rule {self._table} arriving {rule} drop" for rule in rules)]))


def network(proxy: Proxy) -> Proxy | Firewall:
    """The best that this machine can do to the connections of a proxy."""
    try:
        return Firewall(proxy.port)
    except HarnessError as error:
        print(f"No firewall here, so a proxy stops forwarding: {error}")
        return proxy
