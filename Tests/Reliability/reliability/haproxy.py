"""HAProxy in front of servers or databases, with the settings that an operator would use."""

import csv
import io
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import HarnessError, free_port, running, wait_until
from harness.services import ROOT

HTTP = ROOT / "deploy/proxies/haproxy.cfg"
POSTGRESQL = Path(__file__).with_name("haproxy-postgresql.cfg")


@dataclass(frozen=True)
class Proxy:
    port: int
    socket: Path

    def up(self) -> list[str]:
        """The servers that it sends requests to."""
        return [row["svname"] for row in self._servers() if row["status"].startswith("UP")]

    def closed_doors(self) -> int:
        """How often a connection to a server was refused, and the request went elsewhere."""
        return sum(int(row[name] or 0) for row in self._servers() for name in ("econ", "wretr", "wredis"))

    def _servers(self) -> list[dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.socket))
            except OSError:
                return []  # HAProxy is only just starting
            connection.sendall(b"show stat -1 4 -1\n")
            with connection.makefile() as answer:
                return list(csv.DictReader(io.StringIO(answer.read().lstrip("# "))))


@contextmanager
def proxying(work: Path, servers: Mapping[str, str], file: Path = HTTP) -> Iterator[Proxy]:
    """A proxy in front of servers, given by name and address, once one of them is up. The file's own servers are left
    out."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")  # not on the path of Debian's users
    if program is None:
        raise HarnessError("HAProxy is missing: apt-get install haproxy")
    proxy = Proxy(free_port(), work / "haproxy.sock")
    settings, log = work / "haproxy.cfg", work / "haproxy.log"
    text = re.sub(r"^    server .*\n", "", file.read_text(), flags=re.M)
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{proxy.port}")
    text = text.replace("global\n", f"global\n    stats socket {proxy.socket} mode 600 level operator\n", 1)
    settings.write_text(text + "".join(f"    server {name} {address}\n" for name, address in servers.items()))
    with running(program, "-db", "-f", settings, log=log) as process:
        wait_until(proxy.up, process, log)
        yield proxy
