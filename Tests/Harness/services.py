"""Starts flashsale servers and a private PostgreSQL, on ports and in directories of their own."""

import json
import os
import re
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import HarnessError, output_of, running, wait_for_line

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / ".build/release"
# Another build can be measured and tested by its path.
FLASHSALE = Path(os.environ.get("FLASHSALE", RELEASE / "flashsale"))

# Holds and orders do not lapse during a run, so nothing that one contestant leaves behind keeps the machine busy while
# another is measured. `--lapse` measures what lapsing costs.
TIME_TO_LIVE = 3600  # seconds
NOTHING_LAPSES = {"HOLD_TTL_SECONDS": str(TIME_TO_LIVE), "ORDER_TTL_SECONDS": str(TIME_TO_LIVE)}

STOCK = 2_000_000_000


def sql(url: str, statements: str) -> str:
    """Runs statements in one psql; returns the rows, columns separated by |."""
    return output_of("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", url,
                     "-c", "set search_path = flashsale, public", "-c", statements).strip()


def create_product(url: str, name: str = "Bench", stock: int = STOCK, price: int = 100) -> int:
    """Returns its id."""
    return int(output_of(
        FLASHSALE, "product", "create", "--name", name, "--price", str(price), "--currency", "USD",
        "--stock", str(stock), env={"DATABASE_URL": url}))


def create_products(url: str, count: int) -> int:
    """Creates products with consecutive ids; returns the first."""
    return int(sql(url, f"""
        select min(id) from generate_series(1, {count}),
        lateral create_product(null, 'Bench ' || generate_series, 100, 'USD', 1000000, null, null, null, null)"""))


def migrate(url: str) -> None:
    output_of(FLASHSALE, "migrate", env={"DATABASE_URL": url})


def audit(url: str) -> list[str] | None:
    """The invariants that `flashsale audit` finds broken; None when the database cannot be asked."""
    try:
        result = subprocess.run([FLASHSALE, "audit", "--json", "--database-url", url],
                                capture_output=True, text=True, timeout=60)
        checks = json.loads(result.stdout)["checks"]
    except (ValueError, subprocess.TimeoutExpired):
        return None
    return [f"{check['name']}: {check['violations']} rows" for check in checks if check["violations"]]


def counted(port: int, metric: str, label: str) -> Counter[str]:
    """What a server has counted so far, by a label of the metric."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    counts: Counter[str] = Counter()
    for value, count in re.findall(rf'^{metric}\{{.*?{label}="(.*?)".* (\S+)$', text, re.M):
        counts[value] += int(float(count))
    return counts


@dataclass(frozen=True)
class Server:
    """A flashsale server."""

    url: str
    pid: int
    database_url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def answered(self) -> Counter[str]:
        """Its answers so far, by status."""
        return counted(self.port, "flashsale_http_requests_total", "status")

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory, now and at most."""
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(fields["VmRSS"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def require(program: Path) -> None:
    if not program.exists():
        raise HarnessError(f"{program} is missing: `make bench` builds it")


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
        migrate(url)
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

    def audits(self) -> dict[str, str]:
        """For each database what its audit finds; empty if all is in order."""
        return {name: "no answer" if (broken := audit(url)) is None else ", ".join(broken)
                for name, url in self.databases.items()}
