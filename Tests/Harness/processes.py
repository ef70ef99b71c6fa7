"""Processes that end with this one, however it ends."""

import http.client
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class HarnessError(Exception):
    """The run cannot go on. One line says why."""


@contextmanager
def running(
    *command: str | Path, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process, with its output in `log`, until the end of the block, and then until it has ended.

    The process has a session of its own, so Ctrl-C does not reach it. If this process is killed, or the thread that
    started the process ends, the kernel sends it SIGTERM.
    """
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(ready: Callable[[], T | None], process: subprocess.Popen[bytes], log: Path, pause: float = 0.02) -> T:
    """Returns the first result that is neither None nor False."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        result = ready()
        if result:
            return result
        if process.poll() is not None:
            break
        time.sleep(pause)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise HarnessError(f"{log.stem} did not start: {lines[-1] if lines else 'it says nothing'}")


def wait_for_line(pattern: str, process: subprocess.Popen[bytes], log: Path) -> str:
    """Returns the first group of the pattern, once a line of the log matches."""
    match = wait_until(lambda: re.search(pattern, log.read_text(errors="replace"), re.M), process, log)
    return match[1]


def output_of(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a process to its end and returns what it printed; raises `HarnessError` if it fails."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **(env or {})}, cwd=cwd,
        stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise HarnessError(f"{Path(command[0]).name} failed: {lines[-1] if lines else result.returncode}")
    return result.stdout


def free_port() -> int:
    """A port that stays free while nothing listens on it: the kernel does not use it for outgoing connections. Such a
    connection could even connect to itself."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, first)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def answers(port: int, path: str, timeout: float = 5) -> bool:
    """Whether a GET is answered 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
