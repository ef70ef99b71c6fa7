"""Two servers behind a proxy. Streams reach clients, admin paths are blocked, and no request fails during restarts."""

import asyncio
import http.client
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.services import NOTHING_LAPSES
from reliability.client import TOKEN, Client
from reliability.history import Call, History, failures
from reliability.postgres import postgres
from reliability.processes import Server
from reliability.trial import Sale

from .programs import proxying
from .streams import SILENCE_SECONDS_MAX, Watcher

STREAMS = 10
BUYERS = 16
RATE = 400  # requests a second, of all buyers together
# From the response to a hold until all watchers have its event.
EVENT_SECONDS_MAX = 1.0
FIRST_EVENT_SECONDS_MAX = 10.0
RECONNECT_SECONDS_MAX = 10.0
# The value in docs/proxies.md. It is longer than two checks of the proxy with the longest interval, one second.
SHUTDOWN_DELAY_SECONDS = 3
# Between the readiness of a restarted server and the next restart.
BETWEEN_RESTARTS_SECONDS = 2.0
SETTINGS = {**NOTHING_LAPSES, "SHUTDOWN_DELAY_SECONDS": str(SHUTDOWN_DELAY_SECONDS), "ADMIN_TOKEN": TOKEN}
# Spellings of paths that a proxy must block.
BLOCKED_PATHS = (
    "/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/;/metrics", "/api/admin/invariants",
    "/api//admin/invariants", "//api/admin/invariants", "/api/%61dmin/invariants", "/api/./admin/invariants",
    "/api/admin/invariants/")


class UnprivilegedServer(Server):
    """A server without CAP_NET_ADMIN, as in a container or under systemd, even if this process is root."""

    def launch(self, *command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        dropping = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"] if os.geteuid() == 0 else []
        return super().launch(*dropping, *command, env=env)


def run(name: str, work: Path, restarts: int, without: Sequence[str]) -> list[str]:
    """Runs a proxy with restarts of its servers; returns the violations."""
    problems: list[str] = []
    with ExitStack() as stack:
        sale = Sale(work, stack.enter_context(postgres(work)).add(), RATE, BUYERS, seed=1)
        product, history = sale.product, sale.history
        servers = [UnprivilegedServer(number, work, sale.url, SETTINGS) for number in (1, 2)]
        for server in servers:
            stack.callback(server.end)
            asyncio.run(server.serve())
        port = stack.enter_context(proxying(name, work, [server.port for server in servers], without))
        problems += blocked_path_problems(port)
        watchers = [Watcher(port, product) for _ in range(STREAMS)]
        for watcher in watchers:
            stack.callback(watcher.stop)
            watcher.start()
        problems += stock_problems(watchers, Sale.STOCK, FIRST_EVENT_SECONDS_MAX)
        slowest, late = measure_events(watchers, port, servers[0].port, product, history)
        problems += late
        if not all_get_heartbeat(watchers, SILENCE_SECONDS_MAX):
            problems.append("heartbeats do not reach the watchers")
        if ends := sum(watcher.ends for watcher in watchers):
            problems.append(f"{ends} streams ended without the end of a server")

        problems += asyncio.run(restart(servers, port, sale, restarts))
        given_up = [each for watcher in watchers for each in watcher.given_up]
        if given_up:
            problems.append("an EventSource would not have reconnected: " + ", ".join(
                f"{count} × {each}" for each, count in Counter(given_up).most_common()))
        problems += stock_problems(watchers, available(servers[0].port, product), RECONNECT_SECONDS_MAX)
        problems += measure_events(watchers, port, servers[0].port, product, history)[1]
        problems += failures(history.calls) + asyncio.run(sale.judge())
    print(f"{name}: {STREAMS} streams, an event took at most {slowest * 1000:.0f} ms; {restarts} restarts, "
          f"{len(history.calls)} requests; "
          f"{sum(watcher.ends for watcher in watchers)} streams ended and began again, {len(given_up)} were given up")
    return problems


async def restart(servers: Sequence[Server], port: int, sale: Sale, restarts: int) -> list[str]:
    problems: list[str] = []
    async with sale.crowd(port):
        for number in range(restarts):
            server = servers[number % len(servers)]
            problems += await asyncio.to_thread(server.terminate)
            await server.serve()
            await asyncio.sleep(BETWEEN_RESTARTS_SECONDS)
    return problems


def stock_problems(watchers: Sequence[Watcher], stock: int, seconds: float) -> list[str]:
    """Waits until all watchers have the stock; returns a problem if some do not get it in time."""
    deadline = time.monotonic() + seconds
    late = sum(not watcher.wait_for(stock, deadline - time.monotonic()) for watcher in watchers)
    return [f"{late} of {len(watchers)} streams did not send the stock within {seconds:.0f} s"] if late else []


def all_get_heartbeat(watchers: Sequence[Watcher], seconds: float) -> bool:
    """Waits until each watcher has another heartbeat; returns whether all have one in time."""
    counts, deadline = [len(watcher.heartbeats) for watcher in watchers], time.monotonic() + seconds
    return all(watcher.wait_for_heartbeat(count, deadline - time.monotonic())
               for watcher, count in zip(watchers, counts, strict=True))


def measure_events(
    watchers: Sequence[Watcher], port: int, server: int, product: int, history: History
) -> tuple[float, list[str]]:
    """Places holds through the proxy; returns the seconds until the slowest event, and the problems."""
    slowest, problems = 0.0, []
    for _ in range(5):
        expected = available(server, product) - 1
        answer = asyncio.run(hold(port, product, history))
        if answer.status != 201:
            problems.append(f"the response to a hold is {answer.word}")
            continue
        held = time.monotonic()
        late = sum(not watcher.wait_for(expected, held + EVENT_SECONDS_MAX - time.monotonic()) for watcher in watchers)
        if late:
            problems.append(
                f"{late} of {len(watchers)} streams did not send the event of a hold within {EVENT_SECONDS_MAX} s")
            continue
        slowest = max(slowest, max(watcher.events[-1].at for watcher in watchers) - held)
    return slowest, problems


async def hold(port: int, product: int, history: History) -> Call:
    client = Client(-1, [port], history)
    try:
        return await client.call("hold", product, {"product_id": product, "quantity": 1}, 0)
    finally:
        client.close()


def blocked_path_problems(port: int) -> list[str]:
    """Sends a request to each path that the proxy must block; returns a problem for each successful response."""
    headers = {"Authorization": f"Bearer {SETTINGS['ADMIN_TOKEN']}"}
    return [f"the response to GET {path} is {status}" for path in BLOCKED_PATHS
            if (status := call(port, "GET", path, headers=headers)[0]) < 400]


def available(port: int, product: int) -> int:
    return int(call(port, "GET", f"/api/products/{product}")[1]["available_stock"])


def call(
    port: int, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, object]]:
    """Sends a request on a new connection; returns its status and its JSON object."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.startswith(b"{") else {}
    finally:
        connection.close()
