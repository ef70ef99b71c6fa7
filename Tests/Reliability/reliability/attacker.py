"""One attacker, a process of its own: attacker.py PART HOST PORT PRODUCT COUNT. Prints what it did as JSON when it is
told to end (SIGTERM).

It has to be cheap, since it shares the machine with what it attacks: sockets without buffers or coroutines, one epoll.
"""

import json
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

COUNTS: Counter[str] = Counter()
STARTED = time.monotonic()
PIPELINED = 4000  # requests on a connection
RESET = struct.pack("ii", 1, 0)  # SO_LINGER that closes with a reset: nothing is left in TIME_WAIT


class Target:
    def __init__(self, host: str, port: int, product: int) -> None:
        self.address = (host, port)
        self.product = product
        self._sources = 0

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Begins to connect. Sources change, so that one pair of addresses does not run out of ports."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if self.address[0].startswith("127."):
            self._sources = self._sources % 200 + 1
            connection.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            connection.bind((f"127.0.1.{self._sources}", 0))
        connection.connect_ex(self.address)
        return connection

    def request(self, method: str, path: str, body: str = "", *fields: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: sale.example", "Content-Type: application/json",
                 f"Content-Length: {len(body)}", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Crowd:
    """A constant number of connections. They are opened again when they end, and after a while: behind a response that is
    not read, the end of a connection cannot be seen."""

    PER_SECOND = 2500  # opened at most: more at once would only fill the queue of the kernel
    LIFETIME = 30  # seconds

    def __init__(self, target: Target, count: int, kinds: list[tuple[bytes, bytes]], receive_buffer: int) -> None:
        """`kinds` has the data that a connection sends at once, and the data that it sends byte by byte, in turns."""
        self._target, self._count, self._kinds, self._receive_buffer = target, count, kinds, receive_buffer
        self._connections: dict[int, tuple[socket.socket, int]] = {}  # by descriptor, with a number
        self._rest: dict[int, bytes] = {}  # by descriptor, data to dribble
        self._ages: deque[tuple[float, int, int]] = deque()
        self._epoll = select.epoll()
        self._opened = 0
        self._allowed_at = time.monotonic()

    def turn(self, seconds: float) -> None:
        """Opens missing connections, waits for events, and sends a byte on some connections."""
        while len(self._connections) < self._count and self._allowed_at <= time.monotonic():
            self._allowed_at = max(self._allowed_at, time.monotonic() - 0.1) + 1 / self.PER_SECOND
            connection = self._target.connect(self._receive_buffer)
            # These connections never read, so only the end of a connection matters.
            self._epoll.register(connection, select.EPOLLOUT | select.EPOLLONESHOT)
            self._connections[connection.fileno()] = connection, self._opened
            self._ages.append((time.monotonic() + self.LIFETIME, connection.fileno(), self._opened))
            self._opened += 1
        while self._ages and self._ages[0][0] < time.monotonic():
            _, descriptor, number = self._ages.popleft()
            if descriptor in self._connections and self._connections[descriptor][1] == number:
                self._close(descriptor)
        for descriptor, event in self._epoll.poll(seconds, 512):
            if event & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
                COUNTS["ended by the server"] += 1
                self._close(descriptor)
                continue
            COUNTS["connected"] += 1
            first, rest = self._kinds[self._connections[descriptor][1] % len(self._kinds)]
            if self._send(descriptor, first):
                self._epoll.modify(descriptor, select.EPOLLRDHUP)
                if rest:
                    self._rest[descriptor] = rest
        COUNTS["open at most"] = max(COUNTS["open at most"], len(self._connections))
        # The dictionary is a queue: a byte to each connection in a second or so, some at a time.
        for _ in range(len(self._rest) // 20):
            descriptor = next(iter(self._rest))
            rest = self._rest.pop(descriptor)
            if self._send(descriptor, rest[:1]) and len(rest) > 1:
                self._rest[descriptor] = rest[1:]

    def _send(self, descriptor: int, data: bytes) -> bool:
        """Sends as much as the kernel takes; False when the connection is gone."""
        try:
            self._connections[descriptor][0].send(data)
        except BlockingIOError:
            pass
        except OSError:
            COUNTS["ended by the server"] += 1
            self._close(descriptor)
            return False
        return True

    def _close(self, descriptor: int) -> None:
        self._connections.pop(descriptor)[0].close()
        self._rest.pop(descriptor, None)


def slow(target: Target, count: int) -> None:
    """A quarter each: headers that dribble, bodies that dribble, nothing at all, responses that are not read."""
    header = target.request("GET", "/api/products")
    body = target.request("POST", "/api/holds", json.dumps({"product_id": target.product, "quantity": 1}) + " " * 200)
    greedy = target.request("GET", "/openapi.yaml") * 40
    crowd = Crowd(target, count, [(header[:20], header[20:]), (body[:150], body[150:]), (b"", b""), (greedy, b"")], 4096)
    while True:
        crowd.turn(0.05)


def readers(target: Target, count: int) -> None:
    """Streams of events that nobody reads."""
    crowd = Crowd(target, count, [(target.request("GET", f"/api/products/{target.product}/events"), b"")], 2048)
    while True:
        crowd.turn(0.2)


def watchers(target: Target, count: int) -> None:
    """Streams of events that are read. This is no attack: they have to last."""
    request = target.request("GET", f"/api/products/{target.product}/events")
    COUNTS.update({"events": 0, "ended": 0})
    streams: set[socket.socket] = set()
    while True:
        while len(streams) < count:
            try:
                stream = socket.create_connection(target.address, 10)
                stream.sendall(request)
                streams.add(stream)
            except OSError:
                COUNTS["ended"] += 1
                time.sleep(0.1)
        for stream in select.select(list(streams), [], [])[0]:
            try:
                data = stream.recv(65536)
            except OSError:
                data = b""
            COUNTS["events"] += data.count(b"event: stock")
            if not data:
                COUNTS["ended"] += 1
                streams.remove(stream)
                stream.close()


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
    sessions: list[tuple[socket.socket, memoryview, float]] = []
    started = 0
    while True:
        now = time.monotonic()
        while len(sessions) < count:
            data = memoryview(kinds[started % len(kinds)])
            sessions.append((target.connect(receive_buffer=2048), data, now + 3 + started % 4))
            started += 1
            COUNTS["connected"] += 1
        for at, (connection, data, until) in reversed(list(enumerate(sessions))):
            try:
                while data:
                    sent = connection.send(data[:1 << 16])
                    COUNTS["requests sent"] += sent * PIPELINED / len(data.obj)
                    data = data[sent:]
            except BlockingIOError:
                pass
            except OSError:
                until = 0
            sessions[at] = connection, data, until
            if until < now:
                sessions.pop(at)[0].close()
        time.sleep(0.02)


def malformed(target: Target, per_second: int) -> None:
    """What no client of good will sends; each has to be refused, with 4xx."""
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
    epoll = select.epoll()
    asked: dict[int, tuple[socket.socket, bytes, float]] = {}
    due = time.monotonic()
    while True:
        now = time.monotonic()
        due = max(due, now - 0.2)
        while due <= now:
            due += 1 / per_second
            connection = target.connect()
            asked[connection.fileno()] = connection, random.choice(kinds), now + 15
            epoll.register(connection, select.EPOLLOUT | select.EPOLLONESHOT)
        for descriptor, event in epoll.poll(max(0, due - now)):
            connection, kind, _ = asked[descriptor]
            try:
                if event & select.EPOLLOUT:
                    connection.send(kind)
                    COUNTS["requests sent"] += 1
                    epoll.modify(descriptor, select.EPOLLIN)
                    continue
                answer = connection.recv(16)
                status = answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "unexpected: no answer"
            except OSError as error:
                status = type(error).__name__
            COUNTS[status if status.startswith("unexpected") else f"answered {status}"] += 1
            if len(status) == 3 and status[0] != "4" and status != "503":
                COUNTS[f"unexpected: {status} to {kind[:60]!r}"] += 1
            asked.pop(descriptor)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
        while asked and asked[descriptor := next(iter(asked))][2] < now:
            COUNTS["unexpected: not answered within 15 s"] += 1
            asked.pop(descriptor)[0].close()


PARTS = {"slow": slow, "malformed": malformed, "pipelining": pipelining, "connects": connects, "readers": readers,
         "watchers": watchers}


def stop(*_: object) -> None:
    used = os.times()
    print(json.dumps({"seconds": round(time.monotonic() - STARTED, 1), "cpu": round(used.user + used.system, 1), **COUNTS}),
          flush=True)
    os._exit(0)  # the kernel closes what is open


if __name__ == "__main__":
    part, host, port, product, count = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, stop)
    PARTS[part](Target(host, int(port), int(product)), int(count))
