"""An HTTP client that minds the time: one request at a time on a connection that is kept."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What came of a request; status 0 when nothing came."""

    status: int
    seconds: float  # from the request to the whole answer
    body: Any = None  # decoded JSON

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def label(self) -> str:
        """The status, and the type of the problem."""
        if self.status == 0:
            return f"none ({self.body})"
        slug = str(self.body.get("type", "")).rpartition("/")[2] if isinstance(self.body, dict) else ""
        return f"{self.status} {slug}".strip()


class Client:
    """Not for use by several at the same time."""

    def __init__(self, url: str, patience: float = 60) -> None:
        """`patience` is how many seconds it waits for an answer."""
        self._address = urlsplit(url)
        self._patience = patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        return await self.request("POST", path, json.dumps(body), **headers)

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def request(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        """Underscores in the names of headers stand for hyphens."""
        start = time.monotonic()
        fields = {"Host": self._address.netloc, "Content-Type": "application/json", "Content-Length": str(len(body)),
                  **{name.replace("_", "-"): value for name, value in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            async with asyncio.timeout(self._patience):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._address.hostname, self._address.port)
                reader, writer = self._streams
                writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
                status, content = await self._receive(reader)
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
            self.close()
            return Answer(0, time.monotonic() - start, type(error).__name__)
        return Answer(status, time.monotonic() - start, json.loads(content) if content else None)

    async def _receive(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        lines = head.split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        content = await reader.readexactly(int(fields.get("content-length", 0)))
        if fields.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
