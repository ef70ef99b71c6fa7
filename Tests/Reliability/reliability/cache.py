"""A cache in front of a server, of the kind that has no place there: for some time it tells what was."""

import asyncio
import re
import time

from .processes import reserved_port


class Cache:
    """Passes requests on to a server, but answers GET of one product from memory for `seconds`."""

    def __init__(self, target: int, seconds: float) -> None:
        self.target = target
        self.seconds = seconds
        self._answers: dict[str, tuple[float, bytes]] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Its port."""
        port = reserved_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return port

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.target)
            while True:
                request = await self._read_message(reader)
                address = request.split(b" ", 2)[1].decode()
                known = self._answers.get(address)
                if known and time.monotonic() < known[0]:
                    writer.write(known[1])
                    continue
                server.write(request)
                answer = await self._read_message(answers)
                if request.startswith(b"GET") and re.fullmatch("/api/products/[0-9]+", address):
                    self._answers[address] = (time.monotonic() + self.seconds, answer)
                writer.write(answer)
        except (OSError, EOFError):
            writer.transport.abort()

    @staticmethod
    async def _read_message(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *([0-9]+)", head)
        return head + await reader.readexactly(int(length[1]) if length else 0)
