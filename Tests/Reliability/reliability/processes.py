"""Servers, and the PostgreSQL of the run, as processes that can be killed, stopped and started again in place."""

import os
import pwd
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from harness.processes import HarnessError, answers, output_of, running, wait_until
from harness.services import FLASHSALE, sql

PG_BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/usr/bin"))

# The user that runs the database when we are root, since PostgreSQL refuses to, and its superuser in any case.
OWNER = "postgres"


def reserved_port() -> int:
    """A free port that stays free while nobody listens on it: the kernel gives none of these to outgoing connections,
    of which one could otherwise even connect to itself."""
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


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


class Child:
    """A process that is started again and again, with the same command, each time with a log of its own."""

    def __init__(self, name: str, work: Path) -> None:
        self.name = name
        self.work = work
        self.process: subprocess.Popen[bytes] | None = None
        self.log = work / f"{name}.log"
        self._running: AbstractContextManager[subprocess.Popen[bytes]] | None = None
        self._starts = 0
        self.was_ended = False  # by us
        # On the monotonic clock, the times that its being killed took, the moments in which it was told to end, and the times
        # in which it was stopped: nothing else may leave a call without an answer.
        self.ends: list[tuple[float, float]] = []
        self.pauses: list[tuple[float, float]] = []
        self._paused_at: float | None = None

    def launch(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        assert self.process is None or self.process.poll() is not None, f"{self.name} is running"
        self.end()
        self._starts += 1
        self.was_ended = False
        self.log = self.work / f"{self.name}-{self._starts}.log"
        self._running = running(*command, log=self.log, env=env)
        self.process = self._running.__enter__()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def pause(self) -> None:
        self._paused_at = time.monotonic()
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)
        if self._paused_at is not None:
            self.pauses.append((self._paused_at, time.monotonic()))
        self._paused_at = None

    def kill(self) -> None:
        self.was_ended = True
        begin = time.monotonic()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        # For a few milliseconds it may have taken connections yet.
        self.ends.append((begin, time.monotonic()))
        self._paused_at = None

    def end(self) -> None:
        """Asks it to end, and waits for that."""
        self.was_ended = True
        if self._running is not None:
            if self._paused_at is not None:
                self.resume()
            self.ends.append((time.monotonic(),) * 2)
            self._running.__exit__(None, None, None)
            self._running = None

    def ended_between(self, begin: float, end: float) -> bool:
        return any(begin < gone and told < end for told, gone in self.ends)

    def paused_between(self, begin: float, end: float) -> bool:
        """At any time."""
        return any(stopped < end and begin < back for stopped, back in self.pauses)


class Database(Child):
    """A PostgreSQL with everything durable, on a port that it keeps."""

    SETTINGS = {
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "on", "synchronous_commit": "on",
        "full_page_writes": "on", "max_connections": "100", "shared_buffers": "64MB", "max_wal_size": "96MB",
        "min_wal_size": "8MB", "log_line_prefix": "%m [%p] ", "log_checkpoints": "off",
        # After a crash its files are flushed before recovery; one call for the whole disk instead of one a file.
        "recovery_init_sync_method": "syncfs",
        # When what is in a row was committed: the checker's bound for what nobody was told.
        "track_commit_timestamp": "on",
    }

    def __init__(self, work: Path, data: Path) -> None:
        super().__init__("postgresql", work)
        self.data = data
        self.port = reserved_port()
        self.url = self.url_at(self.port)

    def url_at(self, port: int, name: str = "flashsale") -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{port}/{name}"

    def create(self) -> None:
        """Makes the cluster and starts it, with an empty database."""
        if os.geteuid() == 0:
            try:
                entry = pwd.getpwnam(OWNER)
            except KeyError:
                raise HarnessError(f"PostgreSQL does not run as root, and there is no user {OWNER}") from None
            os.chown(self.data, entry.pw_uid, entry.pw_gid)
        os.chmod(self.data, 0o700)
        output_of(*self._as_owner(), PG_BIN / "initdb", "-D", self.data, "-U", OWNER, "-A", "trust", "-E", "UTF8",
                  "--no-locale", "--wal-segsize=4", cwd=Path("/"))
        self.start()
        sql(self.url_at(self.port, "postgres"), "create database flashsale")

    def start(self) -> None:
        """Returns once it accepts connections, after a recovery if one is needed."""
        self.launch_only()
        assert self.process is not None
        wait_until(self.accepts, self.process, self.log, pause=0.01)

    def launch_only(self) -> None:
        settings = [word for name, value in self.SETTINGS.items() for word in ("-c", f"{name}={value}")]
        # The signal at our end has to be asked for again after the user has changed.
        self.launch(*self._as_owner("--pdeathsig", "QUIT"), PG_BIN / "postgres", "-D", self.data, "-p", str(self.port),
                    *settings)

    def accepts(self) -> bool:
        return subprocess.run(
            [PG_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]).returncode == 0

    def crash(self) -> None:
        """SIGKILL of all its processes, as if the machine had lost its power (but for the system's own cache)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no more of them meanwhile
        children = children_of(self.process.pid)
        self.process.kill()
        for child in children:
            kill_if_there(child, signal.SIGKILL)
        self.process.wait()
        # A new one refuses to start while any of the old ones still has the shared memory.
        wait_for(lambda: not any(Path("/proc", str(child)).exists() for child in children), 10, "PostgreSQL's end")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP of all its processes: it hangs, and keeps its connections and locks."""
        assert self.process is not None
        self.pause()  # first, so that it starts no more of them
        children = children_of(self.process.pid)
        for child in children:
            kill_if_there(child, signal.SIGSTOP)
        try:
            yield
        finally:
            for child in children:
                kill_if_there(child, signal.SIGCONT)
            self.resume()

    def shut_down(self, number: signal.Signals) -> None:
        """SIGINT ends it fast, but in order; SIGQUIT at once, so that it has to recover."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def end(self) -> None:
        if self.is_running:
            self.send(signal.SIGINT)
        super().end()

    def backends(self, condition: str = "true") -> list[int]:
        """The processes that serve flashsale servers."""
        rows = sql(self.url, "select pid from pg_stat_activity where application_name = 'flashsale' "
                             f"and backend_type = 'client backend' and {condition} order by pid")
        return [int(row) for row in rows.split()]

    @staticmethod
    def _as_owner(*more: str) -> list[str]:
        if os.geteuid() != 0:
            return ["setpriv", *more] if more else []
        return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", *more]


class Server(Child):
    """A flashsale server on a port that it keeps."""

    def __init__(self, number: int, work: Path, database_url: str, settings: Mapping[str, str]) -> None:
        super().__init__(f"server{number}", work)
        self.port = reserved_port()
        self.settings = {**settings, "DATABASE_URL": database_url}

    def start(self, clock: Mapping[str, str] | None = None) -> None:
        """Launches it, with a clock that is off by what `clock_off` says; `is_ready` tells when it serves."""
        env = {**self.settings, **(clock or {})}
        self.launch(FLASHSALE, "serve", "--unsigned-webhooks", "--port", str(self.port), env=env)

    def is_ready(self) -> bool:
        return answers(self.port, "/health/ready")


def kill_if_there(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Returns after how many seconds the condition held; raises `HarnessError` when it does not in time."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise HarnessError(f"waited {seconds} s for {what}")
        time.sleep(0.01)
    return time.monotonic() - start
