"""A private PostgreSQL on a port that it keeps, with everything durable."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.processes import HarnessError, free_port, output_of, wait_until
from harness.services import migrate, sql

from .checker import changes
from .processes import Child, send, stop_family

# The user that runs PostgreSQL, which refuses to run as root, and its superuser in any case.
OWNER = "postgres"


def binaries() -> Path:
    """The folder of initdb and postgres, of the newest version that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    if not folders and not found:
        raise HarnessError("PostgreSQL is missing: apt-get install postgresql")
    return folders[-1] if folders else Path(str(found)).parent


def as_owner(death_signal: str = "TERM") -> list[str]:
    """The words before a command that must not run as root. The change of user clears the signal that a process gets
    when the harness ends, so it is set again."""
    user = [f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *user, "--pdeathsig", death_signal]


def give_to_owner(folder: Path) -> None:
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, OWNER, OWNER)
        except LookupError:
            raise HarnessError(f"PostgreSQL does not run as root, and there is no user {OWNER}") from None


class Postgres(Child):
    SETTINGS = {
        "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_connections": "100",
        "shared_buffers": "64MB", "max_wal_size": "96MB", "min_wal_size": "8MB", "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off", "listen_addresses": "127.0.0.1",
        # After a crash its files are flushed before recovery; one call for the whole disk instead of one a file.
        "recovery_init_sync_method": "syncfs",
        # The checker reads the changes in the order of commits.
        "track_commit_timestamp": "on",
    }

    def __init__(self, work: Path, data: Path) -> None:
        """`data` is the folder of its files."""
        super().__init__("postgresql", work)
        self.data, self.port = data, free_port()

    def url(self, name: str = "flashsale", port: int | None = None) -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{port or self.port}/{name}"

    def socket_url(self, name: str = "flashsale") -> str:
        """Through the Unix socket, where no packet can be lost."""
        return f"postgresql://{OWNER}@{str(self.data).replace('/', '%2F')}:{self.port}/{name}"

    def add(self, name: str = "flashsale") -> str:
        """A database with flashsale's tables, whose changes are logged; its URL."""
        sql(self.socket_url("postgres"), f"create database {name}")
        migrate(self.socket_url(name))
        changes.install(self.socket_url(name))
        return self.socket_url(name)

    def start(self) -> None:
        """Returns once it accepts connections, after a recovery if one is needed."""
        settings = {**self.SETTINGS, "unix_socket_directories": str(self.data)}
        process = self.launch(
            *as_owner("QUIT"), binaries() / "postgres", "-D", self.data, "-p", str(self.port),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")))
        asks = [str(binaries() / "pg_isready"), "-q", "-h", str(self.data), "-p", str(self.port), "-t", "1"]
        wait_until(lambda: subprocess.run(asks).returncode == 0, process, self.log, pause=0.01)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP of all its processes: it hangs, and keeps its connections and locks."""
        with super().stopped():
            stopped = stop_family(self.process.pid)
            try:
                yield
            finally:
                for pid in stopped:
                    send(pid, signal.SIGCONT)

    def end(self) -> None:
        """SIGINT: PostgreSQL ends sessions instead of waiting for clients that may be out of reach."""
        if self.is_running:
            self.process.send_signal(signal.SIGINT)
        super().end()


@contextmanager
def postgres(work: Path, data: Path | None = None) -> Iterator[Postgres]:
    """Runs a PostgreSQL until the end of the block. `data` is the folder of its files; in `work` by default."""
    data = data or work / "database"
    data.mkdir(exist_ok=True)
    data.parent.chmod(0o711)  # its owner has to get there
    data.chmod(0o700)
    give_to_owner(data)
    output_of(*as_owner(), binaries() / "initdb", "-D", data, "-U", OWNER, "-A", "trust", "-E", "UTF8",
              "--no-locale", "--no-sync", "--wal-segsize=4", cwd=Path("/"))
    database = Postgres(work, data)
    try:
        database.start()
        yield database
    finally:
        database.end()
