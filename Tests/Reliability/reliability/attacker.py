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
from collections.abc import Callable

COUNTS: Counter[str] = Counter()
PIPELINED = 4000  # requests on a connection
RESET = struct.pack("ii", 1, 0)  # SO_LINGER that closes with a reset: nothing is left in TIME_WAIT


class Stopped(Exception):
    """SIGTERM came."""


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

    PER_SECOND = 2500  # opened at most: a crowd that comes all at once would only fill the queue of the kernel
    LIFETIME = 30  # seconds

    def __init__(
        self, target: Target, count: int, opening: Callable[[int], bytes], receive_buffer: int | None = None
    ) -> None:
        """- opening: what a new connection sends at once, by its number."""
        self._target, self._count, self._opening, self._receive_buffer = target, count, opening, receive_buffer
        self.connections: dict[int, socket.socket] = {}
        self.numbers: dict[int, int] = {}
        self._ages: deque[tuple[float, int, int]] = deque()
        self._epoll = select.epoll()
        self._opened = 0
        self._allowed_at = time.monotonic()

    def turn(self, seconds: float) -> None:
        """Opens what is missing, and waits for events."""
        while len(self.connections) < self._count and self._allowed_at <= time.monotonic():
            self._allowed_at = max(self._allowed_at, time.monotonic() - 0.1) + 1 / self.PER_SECOND
            connection = self._target.connect(self._receive_buffer)
            # These connections never read, so only the end of a connection matters.
            self._epoll.register(connection, select.EPOLLOUT | select.EPOLLONESHOT)
            self.connections[connection.fileno()] = connection
            self.numbers[connection.fileno()] = self._opened
            self._ages.append((time.monotonic() + self.LIFETIME, connection.fileno(), self._opened))
            self._opened += 1
        while self._ages and self._ages[0][0] < time.monotonic():
            _, descriptor, number = self._ages.popleft()
            if self.numbers.get(descriptor) == number:
                self._close(descriptor)
        for descriptor, event in self._epoll.poll(seconds, 512):
            if event & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
                self._end(descriptor)
                continue
            COUNTS["connected"] += 1
            if self.send(descriptor, self._opening(self.numbers[descriptor])):
                self._epoll.modify(descriptor, select.EPOLLRDHUP)
        COUNTS["open at most"] = max(COUNTS["open at most"], len(self.connections))

    def send(self, descriptor: int, data: bytes) -> bool:
        """As much as the kernel takes; False when the connection is gone."""
        if not data:
            return True
        try:
            self.connections[descriptor].send(data)
        except BlockingIOError:
            pass
        except OSError:
            self._end(descriptor)
            return False
        return True

    def _end(self, descriptor: int) -> None:
        COUNTS["ended by the server"] += 1
        self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self.connections.pop(descriptor).close()
        self.numbers.pop(descriptor)


def slow(target: Target, count: int) -> None:
    """A quarter each: headers that dribble, bodies that dribble, nothing at all, answers that are not read."""
    dribbled = (target.request("GET", "/api/products"), target.request(
        "POST", "/api/holds", json.dumps({"product_id": target.product, "quantity": 1}) + " " * 200))
    greedy = target.request("GET", "/openapi.yaml") * 40

    def opening(number: int) -> bytes:
        kind = number % 4
        if kind == 0:
            return dribbled[0][:20]
        return dribbled[1][:150] if kind == 1 else b"" if kind == 2 else greedy

    crowd = Crowd(target, count, opening, receive_buffer=4096)
    sent: Counter[int] = Counter()
    dribble = iter(())
    while True:
        crowd.turn(0.05)
        # A byte to each in a second or so, some at a time.
        for _ in range(max(1, len(crowd.connections) // 20)):
            descriptor = next(dribble, None)
            if descriptor is None:
                dribble = iter([one for one, number in crowd.numbers.items() if number % 4 < 2])
                break
            number = crowd.numbers.get(descriptor)
            if number is None or number % 4 > 1:
                continue
            sent[number] += 1
            start = (20, 150)[number % 4]
            whole = dribbled[number % 4]
            crowd.send(descriptor, whole[start + sent[number] - 1:start + sent[number]])


def readers(target: Target, count: int) -> None:
    """Streams of events that nobody reads."""
    request = target.request("GET", f"/api/products/{target.product}/events")
    crowd = Crowd(target, count, lambda _: request, receive_buffer=2048)
    while True:
        crowd.turn(0.2)


def watchers(target: Target, count: int) -> None:
    """Streams of events that are read. This is no attack: they have to last."""
    request = target.request("GET", f"/api/products/{target.product}/events")
    COUNTS.update({"events": 0, "ended": 0})
    epoll = select.epoll()
    streams: dict[int, socket.socket] = {}
    while True:
        while len(streams) < count:
            try:
                stream = socket.create_connection(target.address, 10)
                stream.sendall(request)
            except OSError:
                COUNTS["ended"] += 1
                time.sleep(0.1)
                continue
            streams[stream.fileno()] = stream
            epoll.register(stream, select.EPOLLIN)
        for descriptor, _ in epoll.poll():
            try:
                data = streams[descriptor].recv(65536)
            except OSError:
                data = b""
            COUNTS["events"] += data.count(b"event: stock")
            if not data:
                COUNTS["ended"] += 1
                epoll.unregister(descriptor)
                streams.pop(descriptor).close()


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
        kept = []
        for connection, data, until in sessions:
            try:
                while data:
                    sent = connection.send(data[:1 << 16])
                    COUNTS["requests sent"] += sent * PIPELINED / len(data.obj)
                    data = data[sent:]
            except BlockingIOError:
                pass
            except OSError:
                until = 0
            if now < until:
                kept.append((connection, data, until))
            else:
                connection.close()
        sessions = kept
        while len(sessions) < count:
            connection = target.connect(receive_buffer=2048)
            sessions.append((connection, memoryview(kinds[started % len(kinds)]), now + 3 + started % 4))
            started += 1
            COUNTS["connected"] += 1
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
    asked: dict[int, tuple[socket.socket, int, float]] = {}
    due = time.monotonic()
    while True:
        now = time.monotonic()
        due = max(due, now - 0.2)
        while due <= now:
            due += 1 / per_second
            connection = target.connect()
            kind = random.randrange(len(kinds))
            asked[connection.fileno()] = (connection, kind, now + 15)
            epoll.register(connection, select.EPOLLOUT | select.EPOLLONESHOT)
        for descriptor, event in epoll.poll(max(0, due - now)):
            connection, kind, _ = asked[descriptor]
            try:
                if event & select.EPOLLOUT:
                    connection.send(kinds[kind])
                    COUNTS["requests sent"] += 1
                    epoll.modify(descriptor, select.EPOLLIN)
                    continue
                answer = connection.recv(16)
                status = answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "unexpected: no answer"
            except OSError as error:
                status = type(error).__name__
            COUNTS[status if status.startswith("unexpected") else f"answered {status}"] += 1
            if len(status) == 3 and status[0] != "4" and status != "503":
                COUNTS[f"unexpected: {status} to {kinds[kind][:60]!r}"] += 1
            asked.pop(descriptor)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
        while asked:
            descriptor = next(iter(asked))
            if asked[descriptor][2] > now:
                break
            COUNTS["unexpected: not answered within 15 s"] += 1
            asked.pop(descriptor)[0].close()


PARTS = {"slow": slow, "malformed": malformed, "pipelining": pipelining, "connects": connects, "readers": readers,
         "watchers": watchers}


def stop(*_: object) -> None:
    raise Stopped


def main() -> None:
    part, host, port, product, count = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, stop)
    started = time.monotonic()
    try:
        PARTS[part](Target(host, int(port), int(product)), int(count))
    except Stopped:
        used = os.times()
        print(json.dumps({"seconds": round(time.monotonic() - started, 1), "cpu": round(used.user + used.system, 1),
                          **COUNTS}), flush=True)
        os._exit(0)  # the kernel closes what is open


if __name__ == "__main__":
    main()
