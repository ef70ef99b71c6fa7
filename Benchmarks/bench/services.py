"""Starts the other contestants: the echo, Redis and the peers, each on its own port."""

import shutil
from pathlib import Path

from harness import services
from harness.processes import HarnessError, answers, free_port, running, wait_for_line, wait_until
from harness.services import RELEASE, ROOT, require

ECHO = RELEASE / "echo"


class Services(services.Services):
    def echo(self) -> str:
        """Starts the echo; returns the URL for GET and POST."""
        require(ECHO)
        port, log = free_port(), self._log("echo")
        process = self._stack.enter_context(running(ECHO, str(port), log=log))
        wait_until(lambda: answers(port, "/echo"), process, log)
        return f"http://127.0.0.1:{port}/echo"

    def redis(self) -> int:
        """Starts a Redis that flushes to disk before it responds; returns its port."""
        program = find_redis()
        if program is None:
            raise HarnessError("Redis is missing: apt-get install redis-tools")
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
        """Starts a peer; returns the URL of POST for holds."""
        port, log = free_port(), self._log(app)
        process = self._stack.enter_context(running(
            venv / "bin/uvicorn", f"{app}:app", "--port", str(port), "--workers", str(workers), "--loop", "uvloop",
            "--http", "httptools", "--no-access-log", "--log-level", "warning",
            log=log, env={**settings, "PYTHONDONTWRITEBYTECODE": "1"}, cwd=ROOT / "Benchmarks/peers"))
        wait_until(lambda: answers(port, "/openapi.json"), process, log)
        return f"http://127.0.0.1:{port}/api/holds"


def find_redis() -> str | None:
    """The path of the Redis server.

    Debian's redis-tools contains the same program as redis-check-rdb, without a service. The name by which it is called
    selects its function.
    """
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")
