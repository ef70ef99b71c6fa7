"""A PostgreSQL that is reached over TCP and takes settings: the one that `flashsale demo` starts has a Unix socket
alone, between whose ends no packet can be lost."""

import os
import pwd
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import HarnessError, free_port, output_of, running, wait_until


@dataclass(frozen=True)
class Postgres:
    """How to reach it, without a database's name."""

    tcp_url: str
    socket_url: str


def binaries() -> Path:
    """The folder of initdb and postgres, of the newest version that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    if not folders and not found:
        raise HarnessError("PostgreSQL is missing: apt-get install postgresql")
    return folders[-1] if folders else Path(str(found)).parent


def as_owner() -> list[str]:
    """What to put before a command so that it does not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig", "TERM"]


@contextmanager
def postgres(
    folder: Path, address: str = "127.0.0.1", inside: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> Iterator[Postgres]:
    """Runs a private PostgreSQL until the end of the block.

    - address: to listen on.
    - inside: what to put before the command, such as `ip netns exec NAME`.
    """
    folder.parent.chmod(0o711)  # its owner has to get there
    folder.mkdir()
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, port, log = folder / "data", free_port(), folder.with_suffix(".log")
    output_of(
        *as_owner(), binaries() / "initdb", "-D", data, "-U", "flashsale", "-A", "trust", "--no-sync", cwd=folder)
    with open(data / "pg_hba.conf", "a") as access:
        access.write("host all all all trust\n")
    options = {
        "listen_addresses": address, "port": str(port), "unix_socket_directories": str(folder),
        "max_connections": "100", **(settings or {}),
    }
    arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    socket = str(folder).replace("/", "%2F")
    database = Postgres(f"postgresql://flashsale@{address}:{port}", f"postgresql://flashsale@{socket}:{port}")
    with running(*inside, *as_owner(), binaries() / "postgres", "-D", data, *arguments, log=log, cwd=folder) as process:
        wait_until(lambda: is_up(f"{database.socket_url}/postgres"), process, log)
        try:
            yield database
        finally:
            # Fast: it ends sessions, whose clients may be out of reach, instead of waiting for them.
            process.send_signal(signal.SIGINT)


def is_up(url: str) -> bool:
    try:
        output_of("psql", "-qXAt", "-d", url, "-c", "select 1")
        return True
    except HarnessError:
        return False
