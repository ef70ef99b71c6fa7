"""`--resources`: memory with buyers and with idle connections, and the time to the first response."""

import resource
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from harness.output import Spread, table, tell
from harness.processes import answers, free_port, running, wait_until
from harness.services import FLASHSALE, NOTHING_LAPSES, Server, create_product
from harness.wrk import wrk

from .report import spread_cells
from .rounds import Results
from .session import Session

IDLE = 10_000


def run(session: Session) -> list[str]:
    """Measures, writes and prints the report; returns the problems."""
    url = session.services.database("resources")
    product = create_product(url)
    report = session.report("resources", "Memory, and time to start")
    fresh, busy, idle, opened, starts, samples = [], [], [], [], [], []
    for index in range(session.rounds):
        tell(f"round {index + 1} of {session.rounds}")
        starts.append(time_to_first_response(session, url, product) * 1000)
        with session.services.serving(url) as server:
            fresh.append(server.memory_mb()[0])
            samples.append(wrk(f"{server.url}/api/holds", session.seconds, "holds.lua", PRODUCT=product))
            busy.append(server.memory_mb()[1])
        with session.services.serving(url) as server:
            count, memory = memory_with_idle_connections(server, product)
            opened.append(count)
            idle.append(memory)

    report.add(f"Medians of {session.rounds} rounds, each with new servers.")
    report.add(table(["", "median", "lowest to highest"], [
        [name, *spread_cells(Spread.of(values))] for name, values in (
            ("resident memory after the start, MB", fresh),
            (f"highest resident memory, after {session.seconds:g} s of holds at 64 connections, MB", busy),
            (f"resident memory with {min(opened):,} idle connections, after one request on each, MB", idle),
            ("from the start of `flashsale serve` to its first response with a product, ms", starts),
        )]))
    if min(opened) < IDLE:
        report.problems.append(f"only {min(opened):,} of {IDLE:,} connections could be opened: see `ulimit -Hn`")
    return report.finish(Results({"holds": samples}), session.services.audits())


def time_to_first_response(session: Session, database_url: str, product: int) -> float:
    """Seconds from the start of a server to its first response. Sends a request each millisecond."""
    port = free_port()
    log = session.work / "start.log"
    started = time.monotonic()
    with running(
        FLASHSALE, "serve", "--unsigned-webhooks", "--port", str(port), log=log,
        env={**NOTHING_LAPSES, "DATABASE_URL": database_url},
    ) as process:
        wait_until(lambda: answers(port, f"/api/products/{product}"), process, log, pause=0.001)
        return time.monotonic() - started


def memory_with_idle_connections(server: Server, product: int) -> tuple[int, float]:
    """Opens connections, and sends one request on each; returns their number and the server's memory in MB."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    address = urlsplit(server.url)
    request = f"GET /api/products/{product} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    with ExitStack() as stack:
        count = 0
        for _ in range(IDLE):
            try:
                connection = stack.enter_context(socket.create_connection((address.hostname, address.port), 10))
                connection.sendall(request)
                if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                    break
            except OSError:
                break
            count += 1
        return count, server.memory_mb()[0]
