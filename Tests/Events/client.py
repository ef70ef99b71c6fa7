"""A client of the API for asyncio, with one connection."""
import asyncio, json, urllib.parse


class Client:
    def __init__(self, url, token):
        self.address = urllib.parse.urlsplit(url)
        self.token = token
        self.reader = None

    async def call(self, method, path, body=None):
        """Sends a request; returns the status and the JSON of the response."""
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection(self.address.hostname, self.address.port)
        text = b"" if body is None else json.dumps(body).encode()
        self.writer.write((
            f"{method} {path} HTTP/1.1\r\nhost: {self.address.netloc}\r\nauthorization: Bearer {self.token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n").encode() + text)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.startswith("content-length:")), 0)
        content = await self.reader.readexactly(length)
        return int(head[0].split()[1]), json.loads(content) if content else None

    async def expect(self, status, method, path, body=None):
        """As `call`, but exits the program for any other status; returns the JSON."""
        got, content = await self.call(method, path, body)
        if got != status:
            raise SystemExit(f"{method} {path}: {got} instead of {status}: {content}")
        return content

    def close(self):
        if self.reader is not None:
            self.writer.close()
