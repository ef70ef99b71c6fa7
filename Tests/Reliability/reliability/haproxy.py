"""HAProxy in front of what is tested, with the settings that an operator would use."""

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


def http_template() -> str:
    """The file of deploy/proxies that docs/proxies.md explains, with its addresses left open, and a socket to ask it."""
    text = (ROOT / "deploy/proxies/haproxy.cfg").read_text().replace("{", "{{").replace("}", "}}")
    text = text.replace("127.0.0.1:8080", "127.0.0.1:{port}")
    text = text.replace("global\n", "global\n    stats socket {socket} mode 600 level operator\n", 1)
    return re.sub(r"^    server .*\n", "", text, flags=re.M) + "{servers}\n"


HTTP = http_template()

# In front of databases: only the primary is up, as its Patroni says at /primary. When another node becomes the primary,
# HAProxy ends the sessions on the old one, so a client notices at once.
POSTGRESQL = """
global
    stats socket {socket} mode 600 level operator
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
listen postgresql
    bind 127.0.0.1:{port}
    option httpchk GET /primary
    http-check expect status 200
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


@dataclass(frozen=True)
class Proxy:
    port: int
    _socket: Path

    def up(self) -> list[str]:
        """The servers that it sends requests to."""
        return [row["svname"] for row in self._servers() if row["status"].startswith("UP")]

    def closed_doors(self) -> int:
        """How often a connection to a server was refused, and the request went elsewhere."""
        return sum(int(row[name] or 0) for row in self._servers() for name in ("econ", "wretr", "wredis"))

    def _servers(self) -> list[dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._socket))
            except OSError:
                return []  # it is only just starting
            connection.sendall(b"show stat -1 4 -1\n")
            with connection.makefile() as answer:
                return list(csv.DictReader(io.StringIO(answer.read().lstrip("# "))))


@contextmanager
def proxying(work: Path, servers: Mapping[str, str], template: str = HTTP) -> Iterator[Proxy]:
    """A proxy in front of servers, given by name and address, once it has one of them up."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")  # not on the path of Debian's users
    if program is None:
        raise HarnessError("HAProxy is missing: apt-get install haproxy")
    proxy = Proxy(free_port(), work / "haproxy.sock")
    lines = "\n".join(f"    server {name} {address}" for name, address in servers.items())
    settings, log = work / "haproxy.cfg", work / "haproxy.log"
    settings.write_text(template.format(socket=proxy._socket, port=proxy.port, servers=lines))
    with running(program, "-db", "-f", settings, log=log) as process:
        wait_until(proxy.up, process, log)
        yield proxy
