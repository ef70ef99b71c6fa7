"""A receiver of event webhooks, which keeps connections open."""

import asyncio
from collections.abc import Awaitable, Callable

Respond = Callable[[dict[str, str], bytes], Awaitable[int | None]]


class Receiver:
    """Use it with `async with`; `url` is its address."""

    def __init__(self, respond: Respond) -> None:
        """`respond` gets the headers, by lower-case names, and the body; it returns a status, or None to close the
        connection without a response."""
        self._respond = respond
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Receiver":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hooks"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status = await self._respond(headers, body)
                if status is None:
                    return
                writer.write(f"HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the task ends in any case; asyncio would report that it was cancelled
        finally:
            self._tasks.discard(task)
            writer.close()
