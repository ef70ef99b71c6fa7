"""Starts what is measured: PostgreSQL, servers, the bare echo, Redis; all on ports and in directories of their own."""

import http.client
import os
import shutil
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .children import BenchError, output_of, running, wait_for_line, wait_until

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / ".build/release"
# Another build can be measured and tested by its path.
FLASHSALE = Path(os.environ.get("FLASHSALE", RELEASE / "flashsale"))
ECHO = RELEASE / "echo"

# Nothing that one contestant leaves behind shall keep the machine busy while another is measured, so holds and orders
# do not lapse during a run. `--lapse` measures what it costs when they do.
TIME_TO_LIVE = 3600  # seconds
NOTHING_LAPSES = {"HOLD_TTL_SECONDS": str(TIME_TO_LIVE), "ORDER_TTL_SECONDS": str(TIME_TO_LIVE)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Whether there is a 200 to be had."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def sql(url: str, statements: str) -> str:
    """Runs statements in one psql; returns the rows, columns separated by |."""
    return output_of("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", url,
                     "-c", "set search_path = flashsale, public", "-c", statements).strip()


@dataclass(frozen=True)
class Server:
    """A flashsale server."""

    url: str
    pid: int
    database_url: str

    def answered(self) -> Counter[str]:
        """Its answers so far, by status."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        counts: Counter[str] = Counter()
        for line in lines:
            if line.startswith("flashsale_http_requests_total{"):
                counts[line.split('status="')[1].split('"')[0]] += int(float(line.rsplit(" ", 1)[1]))
        return counts

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory, now and at most."""
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(fields["VmRSS"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024


def require(program: Path) -> None:
    if not program.exists():
        raise BenchError(f"{program} is missing: `make bench` builds it")


class Services:
    """Starts services, and stops them all when its block ends, the last one first."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.databases: dict[str, str] = {}
        self._stack = ExitStack()
        self._count = 0
        self._postgres: str | None = None

    def __enter__(self) -> "Services":
        require(FLASHSALE)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _log(self, name: str) -> Path:
        self._count += 1
        return self.work / f"{name}-{self._count}.log"

    def database(self, name: str) -> str:
        """A database with flashsale's tables, of the private PostgreSQL that `flashsale demo` starts; its URL."""
        if self._postgres is None:
            log = self._log("postgresql")
            process = self._stack.enter_context(
                running(FLASHSALE, "demo", "--port", "0", "--data-dir", self.work / "postgresql", log=log))
            self._postgres = wait_for_line(r"^ *psql '(.*)/flashsale'$", process, log)
        url = f"{self._postgres}/{name}"
        sql(f"{self._postgres}/flashsale", f"create database {name}")
        output_of(FLASHSALE, "migrate", env={"DATABASE_URL": url})
        self.databases[name] = url
        return url

    @contextmanager
    def serving(self, database_url: str, **settings: str) -> Iterator[Server]:
        """A server of its own until the end of the block."""
        log = self._log("server")
        env = {**NOTHING_LAPSES, **settings, "DATABASE_URL": database_url}
        with running(FLASHSALE, "serve", "--unsigned-webhooks", "--port", "0", log=log, env=env) as process:
            url = wait_for_line(r"flashsale serves on (http://\S+)", process, log)
            yield Server(url, process.pid, database_url)

    def server(self, database_url: str, **settings: str) -> Server:
        return self._stack.enter_context(self.serving(database_url, **settings))

    def echo(self) -> str:
        """The URL to GET and POST."""
        require(ECHO)
        port, log = free_port(), self._log("echo")
        process = self._stack.enter_context(running(ECHO, str(port), log=log))
        wait_until(lambda: answers(port, "/echo"), process, log)
        return f"http://127.0.0.1:{port}/echo"

    def redis(self) -> int:
        """A Redis that flushes to disk before it answers; its port."""
        program = find_redis()
        if program is None:
            raise BenchError("Redis is missing: apt-get install redis-tools")
        port, log, directory = free_port(), self._log("redis"), self.work / "redis"
        directory.mkdir()
        link = directory / "redis-server"
        link.symlink_to(program)
        process = self._stack.enter_context(running(
            link, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", log=log))
        wait_for_line(r"(Ready to accept connections)", process, log)
        return port

    def uvicorn(self, venv: Path, app: str, workers: int, **settings: str) -> str:
        """A peer written in Python; the URL to POST holds to."""
        port, log = free_port(), self._log(app)
        process = self._stack.enter_context(running(
            venv / "bin/uvicorn", f"{app}:app", "--port", str(port), "--workers", str(workers), "--loop", "uvloop",
            "--http", "httptools", "--no-access-log", "--log-level", "warning",
            log=log, env={**settings, "PYTHONDONTWRITEBYTECODE": "1"}, cwd=ROOT / "Benchmarks/peers"))
        wait_until(lambda: answers(port, "/openapi.json"), process, log)
        return f"http://127.0.0.1:{port}/api/holds"

    def audits(self) -> dict[str, str]:
        """For each database what `flashsale audit` complains of: nothing, if all is in order."""
        def complaint(url: str) -> str:
            try:
                output_of(FLASHSALE, "audit", env={"DATABASE_URL": url})
                return ""
            except BenchError as error:
                return str(error)

        return {name: complaint(url) for name, url in self.databases.items()}


def find_redis() -> str | None:
    """The server's program. Debian has it in redis-tools too, without a service, under another name; it does what the
    name that it is called by says."""
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")
