"""A receiver of event webhooks. It keeps connections open, and records each request with the time of its arrival."""
import asyncio, time


class Receiver:
    """Use it with `async with`; `url` is its address."""

    def __init__(self, respond=lambda headers, body: 204):
        """`respond` gets the headers, by lower-case names, and the body; it returns a status."""
        self.respond = respond
        self.requests = []  # (time.monotonic(), headers, body)
        self.connections = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/hooks"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in list(self.connections):
            writer.close()

    async def _serve(self, reader, writer):
        self.connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in headers.items()}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((time.monotonic(), headers, body))
                status = self.respond(headers, body)
                writer.write(f"HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def wait_for(self, what, condition, seconds=30):
        """Waits until a condition is true; exits the program if it is not in time."""
        deadline = time.monotonic() + seconds
        while not condition(self.requests):
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {seconds} s: {what}; {len(self.requests)} requests came")
            await asyncio.sleep(0.005)
