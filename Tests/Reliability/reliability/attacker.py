"""One attacker, a process of its own: attacker.py PART PORT PRODUCT COUNT. Prints what it did as JSON when it is told
to end (SIGTERM).

It has to be cheap, since it shares the machine with what it attacks: sockets without buffers or coroutines.
"""

import itertools
import json
import math
import os
import random
import resource
import signal
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

COUNTS: Counter[str] = Counter()
STARTED = time.monotonic()
PIPELINED = 4000  # requests on a connection
LARGE = 1 << 16   # bytes
ESTABLISHED, SYN_SENT = 1, 2  # states of TCP
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
    request: bytes
    piece: int        # how much of it is sent at once
    rest: memoryview  # what was not sent yet
    until: float
    is_open: bool = False

    def go_on(self, read: Callable[[bytes, bytes | None], bool] | None) -> bool:
        """Sends and reads what can be sent and read now. Returns whether the connection stays open."""
        state = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == SYN_SENT:
            return True
        COUNTS["connected"] += not self.is_open
        size = self.piece if self.piece >= LARGE or not self.is_open else 1
        # A response is read before more is sent: what is sent to a closed connection would take the response away.
        may_send = not self.is_open if read else state == ESTABLISHED
        self.is_open = True
        try:
            while self.rest and may_send:
                sent = self.socket.send(self.rest[:size])
                self.rest = self.rest[sent:]
                if size < LARGE:
                    break
            if read:
                return read(self.request, self.socket.recv(65536))
        except BlockingIOError:
            pass
        except OSError:
            state = 0
            if read:
                return read(self.request, None)
        COUNTS["ended by the server"] += state != ESTABLISHED
        return state == ESTABLISHED


def crowd(
    target: Target, count: int, kinds: list[tuple[bytes, int]], per_second: int = 2500, lifetime: float = 30,
    receive_buffer: int | None = None, read: Callable[[bytes, bytes | None], bool] | None = None, period: int = 1,
) -> None:
    """Keeps a number of connections. They are opened again when they end, and after a while, so that none waits for
    ever.

    - kinds: requests, in turns, each with the size of the piece that is sent at once. The rest follows byte by byte,
      or, if pieces are large, as fast as the kernel takes them.
    - per_second: connections that are opened, at most: more at once would only fill the queue of the kernel.
    - read: takes the request and some data of the response, None for a reset; returns whether the connection stays
      open.
    - period: tenths of a second between two looks at a connection.
    """
    connections: deque[Connection] = deque()
    requests = itertools.cycle(kinds)
    for tick in itertools.count(1):
        now = time.monotonic()
        for _ in range(min(count - len(connections), per_second // 10)):
            request, piece = next(requests)
            connections.append(Connection(
                target.connect(receive_buffer), request, piece, memoryview(request), now + lifetime))
        for _ in range(len(connections) // period):
            connection = connections.popleft()
            if connection.until > now and connection.go_on(read):
                connections.append(connection)
                continue
            if read:
                if connection.until <= now:
                    COUNTS["unexpected: not answered in time"] += 1
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.socket.close()
        time.sleep(max(0, STARTED + tick / 10 - time.monotonic()))


def slow(target: Target, count: int) -> None:
    """A quarter each: headers that dribble, bodies that dribble, nothing at all, responses that are not read."""
    header = target.request("GET", "/api/products")
    body = target.request("POST", "/api/holds", json.dumps({"product_id": target.product, "quantity": 1}) + " " * 200)
    unread = target.request("GET", "/openapi.yaml") * 40
    kinds = [(header, 20), (body, 150), (b"", 0), (unread, len(unread))]
    crowd(target, count, kinds, receive_buffer=4096, period=10)


def readers(target: Target, count: int) -> None:
    """Streams of events that nobody reads."""
    request = target.request("GET", f"/api/products/{target.product}/events")
    crowd(target, count, [(request, len(request))], receive_buffer=2048, period=10)


def watchers(target: Target, count: int) -> None:
    """Streams of events that are read. This is no attack: they have to last."""
    def read(_: bytes, data: bytes | None) -> bool:
        COUNTS["events"] += (data or b"").count(b"event: stock")
        COUNTS["ended by the server"] += not data
        return bool(data)

    COUNTS.update({"events": 0, "ended by the server": 0})
    request = target.request("GET", f"/api/products/{target.product}/events")
    crowd(target, count, [(request, len(request))], lifetime=math.inf, read=read)


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
    crowd(target, count, [(kind, LARGE) for kind in kinds], lifetime=5, receive_buffer=2048)


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
    crowd(target, sys.maxsize, [(kind, LARGE) for kind in kinds], per_second, 15, read=read)


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
