"""The network between a server and its database, and its faults."""

import asyncio
import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import HarnessError, free_port, output_of

CHUNK = 65536


@dataclass(eq=False)
class Link:
    """A connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_listener: bool = False  # it has sent LISTEN
    to_server: asyncio.Event = field(default_factory=asyncio.Event)  # whether it passes
    to_client: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Breaks the connection with RST on both sides, whatever is under way."""
        for writer in (self.client, self.server):
            reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    try:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except (AttributeError, OSError):
        pass  # closed already
    writer.transport.abort()


class Proxy:
    """A TCP proxy whose connections can be cut, slow or silent. Data that is sent into silence waits in the kernel."""

    kind = "a TCP proxy that stops forwarding"

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.delay = 0.0            # seconds, for each chunk and direction
        self.links: set[Link] = set()
        self._passes = (True, True)  # to the server, to the client, of new connections
        self._is_refusing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for link in list(self.links):
            link.reset()

    def refuse(self, is_refusing: bool) -> None:
        """Resets existing connections, and new ones at once."""
        self._is_refusing = is_refusing
        if is_refusing:
            self.cut()

    def freeze(self, replies_only: bool = False) -> None:
        """Stops forwarding. Connections stay open, and new ones are accepted."""
        self._passes = (replies_only, False)
        self._silence(self.links, replies_only)

    def forget(self) -> None:
        """The existing connections fall silent, as if a firewall had lost them from its table."""
        self._silence(self.links)

    def freeze_listener(self) -> list[Link]:
        """Only the connections that have sent LISTEN fall silent, until they break; returns them."""
        links = [link for link in self.links if link.is_listener]
        self._silence(links)
        return links

    def thaw(self) -> None:
        self._passes = (True, True)
        for link in self.links:
            link.to_server.set()
            link.to_client.set()

    @staticmethod
    def _silence(links: Iterable[Link], replies_only: bool = False) -> None:
        for link in links:
            link.to_client.clear()
            if not replies_only:
                link.to_server.clear()

    def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._is_refusing:
            reset(client)
            return
        try:
            replies, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        for passes, event in zip(self._passes, (link.to_server, link.to_client)):
            if passes:
                event.set()
        self.links.add(link)
        directions = [asyncio.create_task(self._forward(link, reader, server, link.to_server)),
                      asyncio.create_task(self._forward(link, replies, client, link.to_client))]
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

    async def _forward(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event
    ) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                if writer is link.server and b'listen "' in chunk:
                    link.is_listener = True
                await passes.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(chunk)
                await writer.drain()
        except (OSError, EOFError):
            pass


class Firewall:
    """Drops incoming packets of a port of this machine, as a network that loses them. Neither end is told of anything, and
    nothing is acknowledged. (A proxy's kernel acknowledges data that the proxy does not forward.)"""

    kind = "nftables, which drops packets"

    def __init__(self, target: int) -> None:
        """Raises `HarnessError` where this machine or this user may not have a firewall."""
        self.port = target
        self._table = f"flashsale-{os.getpid()}"
        try:
            # Of runs that were killed.
            for name, owner in re.findall(r"^table inet (flashsale-(\d+))$", output_of("nft", "list", "tables"), re.M):
                if not Path("/proc", owner).exists():
                    output_of("nft", "delete", "table", "inet", name)
            self.thaw()
        except OSError as error:
            raise HarnessError(f"nft: {error}") from None

    async def open(self) -> None:
        """Nothing to open: the rules are for the port itself."""

    async def close(self) -> None:
        output_of("nft", "delete", "table", "inet", self._table)

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
        self._drop()

    def _drop(self, *rules: str) -> None:
        """Replaces all rules at once."""
        lines = [f"add table inet {self._table}", f"flush table inet {self._table}",
                 f"add chain inet {self._table} arriving {{ type filter hook input priority 0; policy accept; }}",
                 *(f"add rule inet {self._table} arriving {rule} drop" for rule in rules)]
        result = subprocess.run(["nft", "-f", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True)
        if result.returncode != 0:
            raise HarnessError(f"nft failed: {result.stderr.strip()}")


def network(target: int, by_proxy: bool) -> Proxy | Firewall:
    """The best that this machine can do."""
    if not by_proxy:
        try:
            return Firewall(target)
        except HarnessError as error:
            print(f"No firewall here: {error}")
    return Proxy(target)
