"""Servers and other processes that can be killed, stopped and started again in place."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from harness.processes import HarnessError, answers, free_port, running
from harness.services import FLASHSALE

STARTS_WITHIN = 30.0  # seconds
# SHUTDOWN_TIMEOUT_SECONDS, and a bit.
ENDS_WITHIN = 15.0  # seconds


def wait_for(condition: Callable[[], object], seconds: float, what: str, pause: float = 0.01) -> float:
    """Returns after how many seconds the condition was true; raises `HarnessError` if it was not in time."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise HarnessError(f"waited {seconds} s for {what}")
        time.sleep(pause)
    return time.monotonic() - start


@asynccontextmanager
async def beside(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs them until the end of the block, which cancels them. Raises the error of one that failed."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def family(root: int, text: str | None = None) -> set[int]:
    """The process and its descendants, and processes with this text in their command line with theirs."""
    parents: dict[int, int] = {}
    found = set()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid == os.getpid() or not (fields := stat_of(pid)):
            continue
        parents[pid] = int(fields[1])
        with suppress(OSError):
            if pid == root or text and text.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Sends a signal; the process may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def stop_family(root: int, text: str | None = None) -> set[int]:
    """SIGSTOP of all of them, and of processes that they start meanwhile."""
    stopped: set[int] = set()
    while found := family(root, text) - stopped:
        for pid in found:
            send(pid, signal.SIGSTOP)
        stopped |= found
    return stopped


class Child:
    """A process that is started again and again with the same command, each time with a log of its own."""

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, work: Path) -> None:
        self.name, self.work, self.log = name, work, work / f"{name}.log"
        self.starts = 0
        self.was_ended = False  # by the harness
        # When it was killed, told to end, and stopped, on the monotonic clock. Only then may a call have no response.
        self.ends: list[tuple[float, float]] = []
        self.pauses: list[tuple[float, float]] = []
        self._running = ExitStack()

    def launch(self, *command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        assert not self.is_running, f"{self.name} is running"
        self.end()
        self.starts += 1
        self.was_ended = False
        self.log = self.work / f"{self.name}-{self.starts}.log"
        self.process = self._running.enter_context(running(*command, log=self.log, env=env))
        return self.process

    @property
    def is_running(self) -> bool:
        return "process" in vars(self) and self.process.poll() is None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP until the end of the block."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
            self.pauses.append((began, time.monotonic()))

    def kill(self, text: str | None = None) -> int:
        """SIGKILL of the process, its descendants, and processes with this text in their command line. First it stops
        all of them, so none sees another end. Returns how many there were."""
        self.was_ended = True
        begin = time.monotonic()
        killed = stop_family(self.process.pid, text)
        for pid in killed:
            send(pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not any(map(stat_of, killed)), 10, f"the end of {self.name}")
        # In these milliseconds it may still have accepted connections.
        self.ends.append((begin, time.monotonic()))
        return len(killed)

    def terminate(self) -> list[str]:
        """Sends SIGTERM and waits for the end; returns what was wrong about it."""
        if not self.is_running:
            return [f"{self.name} ended by itself, with {self.process.returncode}"]
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            return [f"{self.name} did not end within {ENDS_WITHIN:.0f} s of SIGTERM"]
        return [f"{self.name} ended with {status} after SIGTERM"] if status != 0 else []

    def end(self) -> None:
        """Asks it to end, and waits for that."""
        self.was_ended = True
        self.ends.append((time.monotonic(),) * 2)
        self._running.close()


class Server(Child):
    """A flashsale server on a port that it keeps."""

    def __init__(self, number: int, work: Path, database_url: str, settings: Mapping[str, str]) -> None:
        super().__init__(f"server{number}", work)
        self.port = free_port()
        self.settings = {**settings, "DATABASE_URL": database_url}
        # Whether it is to run. A scene's supervisor starts a server that is down, as a service manager would.
        self.is_wanted = True

    def start(self) -> None:
        """Launches it; `is_ready` tells when it serves."""
        self.launch(FLASHSALE, "serve", "--unsigned-webhooks", "--port", str(self.port), env=self.settings)

    async def serve(self) -> None:
        """Starts it and waits until it is ready. The loop's own thread starts the process: the kernel sends the process
        SIGTERM when the thread that started it ends, as threads of `to_thread` do with the loop."""
        self.start()
        await asyncio.to_thread(wait_for, self.is_ready, STARTS_WITHIN, f"{self.name} to be ready")

    def is_ready(self) -> bool:
        return answers(self.port, "/health/ready", timeout=3)


@asynccontextmanager
async def serving(*servers: Server) -> AsyncIterator[None]:
    """They are ready when the block begins, and end with it."""
    try:
        for server in servers:
            await server.serve()
        yield
    finally:
        for server in servers:
            await asyncio.to_thread(server.end)
