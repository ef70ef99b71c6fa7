"""The network between a server and its database: it can be cut, silent, slow, or lose one connection only."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass(eq=False)
class Link:
    """A connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_listener: bool = False  # it has sent LISTEN
    passes: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Breaks the connection with RST on both sides, whatever is under way."""
        for writer in (self.client, self.server):
            connection = writer.get_extra_info("socket")
            if connection is not None:
                try:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass  # closed already
            writer.transport.abort()


class Proxy:
    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0            # seconds, for each chunk and direction
        self.links: set[Link] = set()
        self._is_frozen = False
        self._is_refusing = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> None:
        self.port = port
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for link in list(self.links):
            link.reset()

    def refuse(self, is_refusing: bool) -> None:
        """Resets new connections at once, and those that are there."""
        self._is_refusing = is_refusing
        if is_refusing:
            self.cut()

    def freeze(self) -> None:
        """Forwards nothing more, without a word: the connections stay, and new ones are accepted."""
        self._is_frozen = True
        for link in self.links:
            link.passes.clear()

    def thaw(self) -> None:
        self._is_frozen = False
        for link in self.links:
            link.passes.set()

    def freeze_listener(self) -> list[Link]:
        """Only the connections that have sent LISTEN fall silent, until they break; returns them."""
        links = [link for link in self.links if link.is_listener]
        for link in links:
            link.passes.clear()
        return links

    def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._is_refusing:
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.transport.abort()
            return
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        if not self._is_frozen:
            link.passes.set()
        self.links.add(link)
        directions = [asyncio.create_task(self._forward(link, reader, server)),
                      asyncio.create_task(self._forward(link, answers, client))]
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
            for writer in (client, server):
                writer.close()

    async def _forward(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                if writer is link.server and b'listen "' in chunk:
                    link.is_listener = True
                await link.passes.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(chunk)
                await writer.drain()
        except (OSError, EOFError):
            pass
