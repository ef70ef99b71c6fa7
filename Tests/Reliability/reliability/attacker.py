"""One attacker, a process of its own: attacker.py PART PORT PRODUCT COUNT. Prints what it did as JSON when it is told to
end (SIGTERM).

It has to be cheap, since it shares the machine with what it attacks: sockets without buffers or coroutines, one epoll.
"""

import itertools
import json
import math
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

COUNTS: Counter[str] = Counter()
STARTED = time.monotonic()
PIPELINED = 4000  # requests on a connection
RESET = struct.pack("ii", 1, 0)  # SO_LINGER that closes with a reset: nothing is left in TIME_WAIT


@dataclass
class Target:
    port: int
    product: int
    sources: int = 0

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Begins to connect. Sources change, so that one pair of addresses does not run out of ports."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sources = self.sources % 200 + 1
        connection.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        connection.bind((f"127.0.1.{self.sources}", 0))
        connection.connect_ex(("127.0.0.1", self.port))
        return connection

    def request(self, method: str, path: str, body: str = "", *fields: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: sale.example", "Content-Type: application/json",
                 f"Content-Length: {len(body)}", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass(slots=True)
class Connection:
    socket: socket.socket
    first: bytes     # what it sends at once
    rest: memoryview  # what it sends piece by piece
    until: float
    is_open: bool = False


class Crowd:
    """A number of connections. They are opened again when they end, and after a while: behind a response that is not read,
    the end of a connection cannot be seen."""

    def __init__(
        self, target: Target, count: int, kinds: list[tuple[bytes, bytes]], per_second: float = 2500, lifetime: float = 30,
        receive_buffer: int | None = None, read: Callable[[bytes, bytes | None], bool] | None = None, piece: int = 1,
    ) -> None:
        """
        - kinds: the data that a connection sends at once, and the data that it sends piece by piece, in turns.
        - per_second: connections that are opened, at most: more at once would only fill the queue of the kernel.
        - read: takes the request and some data of the response, None for a reset; returns whether the connection stays open.
        - piece: in bytes. A byte goes to each connection in a second or so. Larger pieces go as fast as the kernel takes them.
        """
        self._target, self._count, self._kinds, self._read = target, count, itertools.cycle(kinds), read
        self._pause, self._lifetime, self._receive_buffer = 1 / per_second, lifetime, receive_buffer
        self._piece = piece
        self._connections: dict[int, Connection] = {}  # by descriptor, the oldest first
        self._dribbling: deque[Connection] = deque()
        self._epoll = select.epoll()

    def run(self) -> None:
        due = 0.0
        while True:
            now = time.monotonic()
            due = max(due, now - 0.1)
            while len(self._connections) < self._count and due <= now:
                due += self._pause
                first, rest = next(self._kinds)
                connection = Connection(
                    self._target.connect(self._receive_buffer), first, memoryview(rest), now + self._lifetime)
                self._connections[connection.socket.fileno()] = connection
                self._epoll.register(connection.socket, select.EPOLLOUT | select.EPOLLONESHOT)
            while self._connections and (oldest := next(iter(self._connections.values()))).until < now:
                COUNTS["unexpected: not answered in time"] += self._read is not None
                self._close(oldest)
            for descriptor, event in self._epoll.poll(0.02, 512):
                self._handle(self._connections[descriptor], event)
            for _ in range(len(self._dribbling) // (40 if self._piece == 1 else 1)):
                connection = self._dribbling.popleft()
                if connection.socket.fileno() >= 0 and self._dribble(connection):
                    self._dribbling.append(connection)

    def _handle(self, connection: Connection, event: int) -> None:
        if not connection.is_open and event == select.EPOLLOUT:
            connection.is_open = True
            COUNTS["connected"] += 1
            if self._send(connection, connection.first) is not None:
                self._epoll.modify(connection.socket, select.EPOLLIN if self._read else select.EPOLLRDHUP)
                self._dribbling += [connection] if connection.rest else []
        elif connection.is_open and self._read:
            data = None
            with suppress(OSError):
                data = connection.socket.recv(65536)
            if not self._read(connection.first, data):
                self._close(connection)
        else:
            COUNTS["ended by the server"] += 1
            self._close(connection)

    def _dribble(self, connection: Connection) -> bool:
        """Whether there is more to send, on a connection that is still there."""
        while sent := self._send(connection, connection.rest[:self._piece]):
            COUNTS["bytes piece by piece"] += sent
            connection.rest = connection.rest[sent:]
            if self._piece == 1:
                break
        return sent is not None and len(connection.rest) > 0

    def _send(self, connection: Connection, data: bytes | memoryview) -> int | None:
        """Sends as much as the kernel takes, and returns how much; None when the connection is gone."""
        try:
            return connection.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            COUNTS["ended by the server"] += 1
            self._close(connection)
            return None

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.socket.fileno()]
        if self._read:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.socket.close()


def slow(target: Target, count: int) -> None:
    """A quarter each: headers that dribble, bodies that dribble, nothing at all, responses that are not read."""
    header = target.request("GET", "/api/products")
    body = target.request("POST", "/api/holds", json.dumps({"product_id": target.product, "quantity": 1}) + " " * 200)
    kinds = [(header[:20], header[20:]), (body[:150], body[150:]), (b"", b""), (target.request("GET", "/openapi.yaml") * 40, b"")]
    Crowd(target, count, kinds, receive_buffer=4096).run()


def readers(target: Target, count: int) -> None:
    """Streams of events that nobody reads."""
    request = target.request("GET", f"/api/products/{target.product}/events")
    Crowd(target, count, [(request, b"")], receive_buffer=2048).run()


def watchers(target: Target, count: int) -> None:
    """Streams of events that are read. This is no attack: they have to last."""
    def read(_: bytes, data: bytes | None) -> bool:
        COUNTS["events"] += (data or b"").count(b"event: stock")
        COUNTS["ended by the server"] += not data
        return bool(data)

    COUNTS.update({"events": 0, "ended by the server": 0})
    request = target.request("GET", f"/api/products/{target.product}/events")
    Crowd(target, count, [(request, b"")], lifetime=math.inf, read=read).run()


def connects(target: Target, _: int) -> None:
    """As many connections as possible, closed at once: every other one with a reset."""
    waiting: list[socket.socket] = []
    while True:
        connection = target.connect()
        COUNTS["connected"] += 1
        if COUNTS["connected"] % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        waiting.append(connection)
        if len(waiting) == 64:
            # On loopback a connection is there when connect returns, unless the queue is full.
            for one in waiting:
                one.close()
            waiting.clear()


def pipelining(target: Target, count: int) -> None:
    """Thousands of requests on each connection, none of whose answers is read; a new one every few seconds."""
    product = f"/api/products/{target.product}"
    hold = json.dumps({"product_id": target.product, "quantity": 2_000_000_000})  # more than there are
    kinds = [
        target.request("GET", product) * PIPELINED, target.request("GET", "/openapi.yaml") * PIPELINED,
        target.request("POST", "/api/holds", hold) * PIPELINED, target.request("GET", "/nowhere") * PIPELINED,
        (target.request("GET", product) + target.request("GET", "/api/products")) * (PIPELINED // 2),
        target.request("GET", f"{product}/events") * PIPELINED,
    ]
    # Each writes as fast as the server reads, for five seconds.
    Crowd(target, count, [(b"", kind) for kind in kinds], lifetime=5, receive_buffer=2048, piece=1 << 16).run()


def malformed(target: Target, per_second: int) -> None:
    """What no client of good will sends; each has to be refused, with 4xx."""
    def read(request: bytes, data: bytes | None) -> bool:
        status = data[9:12].decode() if data and data.startswith(b"HTTP/1.1 ") else ""
        COUNTS["reset" if data is None else f"answered {status}" if status else "unexpected: no answer"] += 1
        if status and status[0] != "4" and status != "503":
            COUNTS[f"unexpected: {status} to {request[:60]!r}"] += 1
        return False

    product = target.product

    def hold(body: str, *fields: str) -> bytes:
        return target.request("POST", "/api/holds", body, *fields)

    kinds = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/products HTTP/1.1\r\nHost : x\r\n\r\n", b"POST /api/holds HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/holds HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n\r\n", b"\0" * 100, b"HELO sale.example\r\n\r\n",
        b"POST /api/holds HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        hold(""), hold("{"), hold("[]"), hold("nul"), hold("[" * 5000), hold('{"product_id":"1","quantity":1}'),
        hold('{"product_id":%d,"quantity":0}' % product), hold('{"product_id":%d,"quantity":1e99}' % product),
        hold('{"product_id":%d,"quantity":-1}' % product), hold('{"product_id":%d,"quantity":1}{}' % product),
        hold('{"product_id":%d,"quantity":1,"customer_id":"\\u0000"}' % product), hold('"\\ud800"'),
        hold(" " * 17_000), hold("x" * 200_000), hold('{"product_id":9999999,"quantity":1}'),
        target.request("DELETE", "/api/holds"), target.request("PUT", f"/api/products/{product}", "{}"),
        target.request("BREW", "/api/holds"), target.request("GET", "/api/holds/hold_x"),
        target.request("GET", "/../../etc/passwd"), target.request("GET", "/" + "a" * 17_000),
        target.request("GET", "/api/products", "", "X-Long: " + "a" * 17_000),
        target.request("GET", "/api/products", "", *(f"X-{n}: {'a' * 100}" for n in range(200))),
        target.request("POST", "/api/payments/webhook", '{"idempotency_key":1}'),
        target.request("POST", "/api/orders", '{"hold_id":"hold_00"}'),
    ]
    random.shuffle(kinds)
    Crowd(target, sys.maxsize, [(kind, b"") for kind in kinds], per_second, 15, read=read).run()


PARTS = {"slow": slow, "malformed": malformed, "pipelining": pipelining, "connects": connects, "readers": readers,
         "watchers": watchers}


def stop(*_: object) -> None:
    print(json.dumps({"seconds": round(time.monotonic() - STARTED, 1), **COUNTS}), flush=True)
    os._exit(0)  # the kernel closes what is open


if __name__ == "__main__":
    part, port, product, count = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, stop)
    PARTS[part](Target(int(port), int(product)), int(count))
